"""The equation of a pixel written plainly in torch, apart from the package: one domain and one source at a time."""

import math

import torch


def cross_exp(vector):
    """Rotation matrix of a rotation vector."""
    x, y, z = vector
    zero = torch.zeros((), dtype=torch.float64)
    across = torch.stack([torch.stack([zero, -z, y]), torch.stack([z, zero, -x]), torch.stack([-y, x, zero])])
    total = term = torch.eye(3, dtype=torch.float64)
    for order in range(1, 22):  # torch's own matrix_exp is right to 1e-9 only
        term = term @ across / order
        total = total + term
    return total


def axes_of(cell):
    """Axes a, b, c as rows; a along x, b in the plane of x and y; angles in radian."""
    a, b, c, alpha, beta, gamma = cell
    zero = torch.zeros((), dtype=torch.float64)
    x = torch.cos(beta)
    y = (torch.cos(alpha) - torch.cos(beta) * torch.cos(gamma)) / torch.sin(gamma)
    last = torch.stack([x, y, torch.sqrt(1 - x**2 - y**2)]) * c
    return torch.stack(
        [torch.stack([a, zero, zero]), torch.stack([b * torch.cos(gamma), b * torch.sin(gamma), zero]), last]
    )


def interference(shape, offset, cells):
    """F_latt^2 of one offset from a reflection, (3, point)."""
    if shape == "square":
        return torch.prod((torch.sin(math.pi * cells[:, None] * offset) / torch.sin(math.pi * offset)) ** 2, dim=0)
    if shape == "gauss":
        return torch.exp(-math.pi * ((cells[:, None] * offset) ** 2).sum(0)) * torch.prod(cells) ** 2
    radius = math.pi * torch.sqrt(((cells[:, None] * offset) ** 2).sum(0))
    ratio = 3 * (torch.sin(radius) - radius * torch.cos(radius)) / radius**3
    return (0.723601254558268 * torch.prod(cells) * ratio) ** 2


def kernel(axes, cells, spread, tensor, q, nearest):
    """Widened Gaussian of each point, with its own matrices."""
    reciprocal = torch.linalg.inv(axes)
    out = []
    for point in range(q.shape[1]):
        h = nearest[:, point]
        middle = reciprocal @ h
        across = torch.linalg.cross(middle.expand(3, 3), torch.eye(3, dtype=torch.float64)).T  # columns middle x e_k
        own = reciprocal @ torch.diag(1 / (2 * math.pi * cells**2)) @ reciprocal.T
        total = own + spread**2 * across @ tensor @ across.T
        apart = q[:, point] - middle
        height = torch.prod(cells) ** 2 * torch.sqrt(torch.det(own) / torch.det(total))
        out.append(height * torch.exp(-apart @ torch.linalg.solve(total, apart) / 2))
    return torch.stack(out)


def photons(scene, panel, pixels, changed, squared):
    """Expected photons of some pixels; ``changed`` holds misset, spread, cells, cell, distance, ... as tensors.

    ``squared(h)`` gives F^2 of whole indices, (3, point).
    """
    start = torch.from_numpy(scene.crystal.axes)
    cell = torch.tensor(scene.crystal.cell)
    cell = torch.cat([cell[:3], torch.deg2rad(cell[3:])])
    frame = torch.linalg.inv(axes_of(cell)) @ start
    axes = axes_of(cell + changed["cell"]) @ frame @ cross_exp(changed["misset"]).T
    cells = torch.from_numpy(scene.cells) + changed["cells"]
    spread = scene.spread + changed["spread"][0]
    fast, slow, corner = (torch.from_numpy(one) for one in (panel.fast, panel.slow, panel.origin))
    normal = torch.linalg.cross(fast, slow)
    normal = normal * torch.sign(normal @ corner)
    side = panel.pixel[0]
    corner = corner + changed["distance"][0] * normal
    corner = corner - side * (changed["beam_centre"][0] * fast + changed["beam_centre"][1] * slow)
    column, row = torch.from_numpy(pixels % panel.shape[1]), torch.from_numpy(pixels // panel.shape[1])
    stretch = 1 + changed["wavelength"][0] / scene.beam.wavelength
    light, count, total = scene.light, scene.oversample, 0.0
    rule = scene.mosaicity
    vectors = torch.from_numpy(rule.vectors) if hasattr(rule, "vectors") else torch.zeros((1, 3), dtype=torch.float64)
    weights = rule.weights if hasattr(rule, "weights") else [1.0]
    for down in range(count):
        for along in range(count):
            x = (column + (along + 0.5) / count) * side
            y = (row + (down + 0.5) / count) * side
            at = corner[:, None] + fast[:, None] * x + slow[:, None] * y
            far = at.norm(dim=0)
            unit = at / far
            for direction, wavelength, share in zip(light.directions, light.wavelengths, light.weights, strict=True):
                beam = torch.from_numpy(direction)
                q = (unit - beam[:, None]) / (wavelength * stretch)
                cosine = beam @ unit
                field = torch.from_numpy(scene.beam.electric)
                field = field - beam * (beam @ field)
                field = field / field.norm()
                azimuth = torch.atan2(torch.linalg.cross(beam, field) @ unit, field @ unit)
                sine2 = 1 - cosine**2
                polar = (1 + cosine**2 - scene.beam.polarised * torch.cos(2 * azimuth) * sine2) / 2
                factor = side**2 / far**2 * (normal @ at) / far * polar
                for angle in scene.phi.angles:
                    step = cross_exp(torch.from_numpy(scene.phi.axis * angle))
                    for vector, weight in zip(vectors, weights, strict=True):
                        turned = axes @ (cross_exp(vector * spread) @ step).T
                        h = turned @ q
                        nearest = torch.ceil(h - 0.5).detach()
                        if hasattr(rule, "tensor"):
                            tensor = torch.from_numpy(rule.tensor)
                            value = kernel(turned, cells, spread, tensor, q, nearest)
                        else:
                            value = interference(scene.shape, h - nearest, cells)
                        parts = share * weight / len(scene.phi.angles) / count**2
                        total = total + parts * factor * value * squared(nearest)
    return total * (scene.scale + changed["scale"][0]) + scene.background.constant + changed["background"][0]
