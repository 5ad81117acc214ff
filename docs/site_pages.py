"""Pages of the site that lie outside docs/: README.md is the first one; links between them are turned."""

from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]
PAGES = {"README.md": "index.md", "config/README.md": "configuration.md", "CHANGELOG.md": "changes.md"}


def on_files(files, config):
    """Add them to what mkdocs found in docs/."""
    for source, page in PAGES.items():
        content = (ROOT / source).read_text(encoding="utf-8").replace("](docs/", "](")
        files.append(File.generated(config, page, content=content))
    return files
