// Walks through Snakemake's report as a reader does, by clicks, and leaves what it saw in the page's title as JSON.
// Laid at the end of a copy of the report by test_workflow.py; `seen.errors` is begun at its head.

const shortly = () => new Promise((resolve) => setTimeout(resolve, 20));

async function waitFor(find, what) {
    for (let attempt = 0; attempt < 200; attempt++) {
        const found = find();
        if (found) return found;
        await shortly();
    }
    throw new Error("not there: " + what);
}

const links = () => [...document.querySelectorAll("nav a")];
const inMenu = (text) => links().find((link) => link.textContent.trim() === text);

async function click(text) {
    (await waitFor(() => inMenu(text), text)).click();
    await shortly();
}

async function home() {
    app.setView({ navbarMode: "menu" });
    await waitFor(() => inMenu("Workflow"), "menu");
}

// one line of a list of results: its eye shows the file, its second button the caption
async function look(line) {
    const [eye, about] = line.querySelectorAll("a");
    const label = [...line.querySelectorAll("td")].slice(0, -1).map((cell) => cell.textContent).join(" / ");
    const view = () => document.querySelector("#app .p-3 > img, #app iframe");
    const before = view() && view().src; // of the result looked at before, which stays until the page is drawn anew
    eye.click();
    const shown = await waitFor(() => view() && view().src !== before && view(), label);
    const isImage = shown.tagName === "IMG";
    if (isImage) await waitFor(() => shown.complete && shown.naturalWidth, label);
    const source = shown.src.slice(0, 5), width = isImage ? shown.naturalWidth : shown.clientWidth;
    about.click();
    await waitFor(() => document.querySelector("nav").textContent.includes("Snakemake rule"), label);
    const caption = document.querySelector("nav .prose");
    return { label, path: app.state.resultPath, source, isImage, width, caption: caption ? caption.textContent : "" };
}

async function lookAtAll(category, subcategory) {
    const open = async () => {
        await home();
        await click(category);
        if (Object.keys(categories[category]).length > 1) await click(subcategory);
        return waitFor(() => document.querySelectorAll("nav tbody tr").length && document.querySelectorAll("nav tbody tr"), subcategory);
    };
    const count = (await open()).length;
    for (let number = 0; number < count; number++) {
        const lines = await open();
        seen.results.push({ category, subcategory, ...(await look(lines[number])) });
    }
}

async function tour() {
    const graph = await waitFor(() => document.querySelector("#rulegraph canvas, #rulegraph svg"), "rule graph");
    seen.graph = { width: graph.clientWidth, rules: Object.keys(rules) };
    seen.landing = document.querySelector("#app .prose").innerText;
    for (const category of Object.keys(categories)) {
        for (const subcategory of Object.keys(categories[category])) await lookAtAll(category, subcategory);
    }
    await home();
    await click("Statistics");
    await waitFor(() => document.querySelector("#runtimes canvas, #runtimes svg"), "statistics");
    seen.fetched = performance.getEntriesByType("resource").map((entry) => entry.name).filter((name) => !/^(data|blob):/.test(name));
}

tour().catch((error) => seen.errors.push(String(error.stack || error))).finally(() => {
    document.body.innerHTML = "";
    document.body.appendChild(document.createElement("pre")).id = "seen";
    document.querySelector("#seen").textContent = JSON.stringify(seen);
});
