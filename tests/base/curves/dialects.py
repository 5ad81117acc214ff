"""Files of one curve as programs and people write them; what is written is known, so that a reader can be checked."""

import numpy as np

N = 25
Q = np.round(np.geomspace(0.01, 0.3, N), 6)  # 1/angstrom
I = np.round(12.5 * np.exp(-((Q * 20) ** 2) / 3) + 0.02, 7)  # noqa: E741
S = np.round(0.01 * I + 0.001 * (1 + np.arange(N) % 3), 7)
D = np.round(0.02 * Q + 0.0005, 7)


def table(columns, join=" ", number="{:.7g}".format, prefix="", end="\n"):
    return end.join(prefix + join.join(map(number, row)) for row in zip(*columns, strict=True)) + end


def comma(value):
    return f"{value:.7g}".replace(".", ",")


def fortran(value):
    return f"{value:.7E}".replace("E", "D")


def grouped_exponent(value):
    """Fortran's exponent of three digits, which drops the E."""
    mantissa, exponent = f"{value:.7E}".split("E")
    return f"{mantissa}{int(exponent):+04d}"


Q3, Q4 = (Q, I, S), (Q, I, S, D)
NM = (10 * Q, I, S)
JSON = (
    '\n\n### HEADER:\n#\n#{\n#    "Conc": 4.2,\n#    "analysis": {"guinier": {"I0": "12.5", "Rg": "20.0"}},\n'
    '#    "a": [1, 2, 3]\n#}\n'
)
ABS = (
    "SILICA10.ABS FILE CREATED: 12-OCT-2008\nMON CNT LAMBDA DET ANG DET DIST TRANS THICK AVE STEP\n"
    "1.1e+08 6.0 0.0 13.17 0.54 0.1 1.2 0.1\nBCENT(X,Y) A1(mm) A2(mm)\n64.5 65.1 50.0 12.7\n"
    "SAM: a EMP: b\nThe 6 columns are | Q (1/A) | I(Q) (1/cm) | std. dev. I(Q) (1/cm) | sigmaQ | "
    "meanQ | ShadowFactor|\n"
)
SANS2D = " SANS2D Wed 28-AUG-2019 15:35\n Sample\n  25    0    0    0    1  25    0\n 0 0 0 0\n 3 (F12.5,2E16.6)\n"
PDH = "sample in water\nSAXS BOX\n       25        0        0        0        0        0        0        0\n" + "".join(
    f"  {a}   {b}   {a}   {a}   {b}\n" for a, b in (("0.000000E+00", "1.000000E+00"), ("1.000000E+00", "0.154200E+00"))
)
GNOM = (
    "           ####    G N O M   Version 4.6    ####\n\n Angular   range    :     from    0.0100   to    0.3000\n"
    "      S          J EXP       ERROR       J REG       I REG\n\n"
    + "".join(
        f"  {0.001 * k:.4E}                                       1.2500E+01\n".replace("   1.25", "  1.2")
        for k in range(9)
    )
    + table((Q, I, S, I * 1.01, I * 1.01), "  ", "{:.6E}".format)
    + "\n           Distance distribution  function of particle\n\n       R          P(R)      ERROR\n\n"
    + table((np.linspace(0, 60, 101), np.ones(101), 0.1 * np.ones(101)), "  ", "{:.4E}".format)
    + "          Reciprocal space: Rg =   20.00     , I(0) =   0.1250E+02\n"
)
OLIGOMER = "T= 0.1E-04 Rat=0.25, Chi^2: 1.1\n"
XML_ROW = (
    '<Idata><Q unit="{u}">{q!r}</Q><I unit="1/cm">{i!r}</I><Idev unit="1/cm">{s!r}</Idev>'
    '<Qdev unit="{u}">{d!r}</Qdev></Idata>'
)


def xml(version="1.1", factor=1.0, unit="1/A", entries=1, head='<?xml version="1.0"?>\n'):
    rows = "".join(
        XML_ROW.format(u=unit, q=float(q * factor), i=float(i), s=float(s), d=float(d * factor))
        for q, i, s, d in zip(*Q4, strict=True)
    )
    space = "urn:cansas1d:1.1" if version == "1.1" else "cansas1d/1.0"
    entry = "".join(
        f'<SASentry name="e{k}"><Title>silica</Title><Run>{k}</Run><SASdata>{rows}</SASdata></SASentry>'
        for k in range(1, entries + 1)
    )
    return f'{head}<SASroot version="{version}" xmlns="{space}">{entry}</SASroot>'


# name: (ending, text, has sigma, has dq, unit of q in the file, absolute)
DIALECTS = {
    "blanks": (".dat", table(Q3), 1, 0, "", 0),
    "two columns": (".dat", table((Q, I)), 0, 0, "", 0),
    "four columns": (".txt", table(Q4), 1, 1, "", 0),
    "tabs": (".txt", table(Q3, "\t"), 1, 0, "", 0),
    "commas": (".csv", table(Q3, ","), 1, 0, "", 0),
    "comma and blank": (".csv", table(Q3, ", "), 1, 0, "", 0),
    "semicolons": (".csv", table(Q3, ";"), 1, 0, "", 0),
    "semicolons, decimal commas": (".csv", table(Q3, ";", comma), 1, 0, "", 0),
    "tabs, decimal commas": (".txt", table(Q3, "\t", comma), 1, 0, "", 0),
    "blanks, decimal commas": (".txt", table(Q3, "   ", comma), 1, 0, "", 0),
    "comma and blank, decimal commas": (".txt", table(Q3, ", ", comma), 1, 0, "", 0),
    "quoted decimal commas": (".csv", table(Q3, ",", lambda v: f'"{comma(v)}"'), 1, 0, "", 0),
    "bars": (".txt", table(Q3, " | "), 1, 0, "", 0),
    "fortran D": (".dat", table(Q3, "  ", fortran), 1, 0, "", 0),
    "fortran without E": (".dat", table(Q3, "  ", grouped_exponent), 1, 0, "", 0),
    "windows line ends": (".dat", table(Q3, end="\r\n"), 1, 0, "", 0),
    "old mac line ends": (".dat", table(Q3, end="\r"), 1, 0, "", 0),
    "byte order mark": (".dat", "\ufeff" + table(Q3), 1, 0, "", 0),
    "leading blanks and trailing tabs": (".dat", table(Q3, prefix="   ").replace("\n", "\t\n"), 1, 0, "", 0),
    "trailing commas": (".csv", table(Q3, ",").replace("\n", ",\n"), 1, 0, "", 0),
    "title line": (".dat", "Lysozyme 4 mg/ml, 20 C\n" + table(Q3), 1, 0, "", 0),
    "count line": (".dat", "my sample\n25\n" + table(Q3), 1, 0, "", 0),
    "names": (".dat", "q I err\n" + table(Q3), 1, 0, "", 0),
    "names with units": (".csv", "q (1/nm),I (1/cm),dI (1/cm)\n" + table(NM, ","), 1, 0, "1/nm", 1),
    "names nm^-1": (".dat", "# q(nm^-1)  I(q)  sigma\n" + table(NM), 1, 0, "1/nm", 0),
    "names nm-1 in brackets": (".txt", "q [nm-1]\tI [a.u.]\tError [a.u.]\n" + table(NM, "\t"), 1, 0, "1/nm", 0),
    "names A^-1": (".txt", "Q[A^-1]\tI[cm^-1]\tsigma[cm^-1]\tdQ[A^-1]\n" + table(Q4, "\t"), 1, 1, "1/A", 1),
    "names with angstrom sign": (
        ".txt",
        "q / Å⁻¹\tI / cm⁻¹\tσ / cm⁻¹\n".replace("⁻¹", "^-1") + table(Q3, "\t"),
        1,
        0,
        "1/A",
        1,
    ),
    "sasview names": (".csv", "<X>, <Y>, <dY>\n" + table(Q3, ", "), 1, 0, "", 0),
    "sasview text": (".txt", "<X>   <Y>   <dY>   <dX>\n" + table(Q4, "   "), 1, 1, "", 0),
    "dq before sigma": (".dat", "# q I dq sigma\n" + table((Q, I, D, S)), 1, 1, "", 0),
    "sigma first": (".csv", "I,err,q\n" + table((I, S, Q), ","), 1, 0, "", 0),
    "pandas": (".csv", ",q,I,sigma\n" + table((np.arange(N), *Q3), ","), 1, 0, "", 0),
    "numbered lines": (".dat", table((np.arange(1, N + 1), *Q3)), 1, 0, "", 0),
    "units below names": (".dat", "q I error\nnm^-1 cm^-1 cm^-1\n" + table(NM), 1, 0, "1/nm", 1),
    "unit in the header": (".dat", "# pyFAI\n# unit: q_nm^-1\n# q  I  sigma\n" + table(NM), 1, 0, "1/nm", 0),
    "pyfai": (
        ".dat",
        "# == pyFAI calibration ==\n# Wavelength: 1.0e-10 m\n# --> demo.edf\n"
        "#       q_nm^-1             I           sigma\n" + table(NM, "  ", "{:.7e}".format),
        1,
        0,
        "1/nm",
        0,
    ),
    "comments between": (
        ".dat",
        table(Q3)[:200].rsplit("\n", 1)[0]
        + "\n# detector 2\n\n"
        + table(Q3)[len(table(Q3)[:200].rsplit("\n", 1)[0]) + 1 :],
        1,
        0,
        "",
        0,
    ),
    "footer": (".dat", table(Q3) + "\nend of data\nchi2 = 1.1\n", 1, 0, "", 0),
    "raw": (
        ".dat",
        "### DATA:\n#\n# 25\n#      Q             I(Q)           Error\n" + table(Q3, "  ", "{:.8E}".format) + JSON,
        1,
        0,
        "1/A",
        0,
    ),
    "atsas": (
        ".dat",
        "Sample description: BSA\nParent(s): a.dat b.dat\n"
        + table(Q3, "  ", "{:.6E}".format)
        + "\ncreator: DATOP\nsample-concentration: 2.5\n",
        1,
        0,
        "",
        0,
    ),
    "crysol": (".fit", "  T= 0.1E-04 Rg = 20.1  Chi^2: 1.1\n" + table((Q, I, S, I * 1.02)), 1, 0, "", 0),
    "dammin": (".fir", "from a.out sExp | iExp | Err | iFit\n" + table((Q, I, S, I * 1.02)), 1, 0, "", 0),
    "fit of three columns": (".fit", "sExp iExp iFit\n" + table((Q, I, I * 1.02)), 0, 0, "", 0),
    "foxs": (
        ".fit",
        "# offset = 0, scale = 1\n# q       exp_intensity   model_intensity error\n" + table((Q, I, I * 1.02, S)),
        1,
        0,
        "",
        0,
    ),
    "gnom": (".out", GNOM, 1, 0, "", 0),
    "nist abs": (".ABS", ABS + table((Q, I, S, D, Q, np.ones(N)), "  "), 1, 1, "1/A", 1),
    "nist abs without names": (".ABS", "a\nb\n" + table((Q, I, S, D, Q, np.ones(N)), "  "), 1, 1, "", 0),
    "sans2d": (".txt", SANS2D + table(Q4, "    ", "{:.6e}".format), 1, 1, "", 0),
    "pdh": (".pdh", PDH + table(NM, "   ", "{:.6E}".format), 1, 0, "1/nm", 0),
    "pdh by another ending": (".txt", PDH + table(NM, "   ", "{:.6E}".format), 1, 0, "1/nm", 0),
    "igor": (".itx", "IGOR\nWAVES/D q, I, s\nBEGIN\n" + table(Q3, "\t") + "END\n", 1, 0, "", 0),
    "fit2d": (
        ".chi",
        "frame.edf\n Q (inverse nanometres)\n Intensity\n       25\n" + table((10 * Q, I)),
        0,
        0,
        "1/nm",
        0,
    ),
    "xenocs": (".dat", "##########\n# SampleName: a\nq(A-1)   I(q)   Sig(q)\n" + table(Q3, "   "), 1, 0, "1/A", 0),
    "sigma(Q) beside sigma(I)": (".dat", "Q I(Q) sigma(I) sigma(Q)\n" + table(Q4), 1, 1, "", 0),
    "grasp": (
        ".dat",
        "mod_q\tI\tErr_I\tFWHM_q\n" + table((Q, I, S, 2.3548200450309493 * D), "\t", "{:.9g}".format),
        1,
        1,
        "",
        0,
    ),
    "irena": (".dat", "# SMR_Qvec SMR_Int SMR_Error\n" + table(Q3), 1, 0, "", 0),
    "sascif": (
        ".sascif",
        "data_a\nloop_\n_sas_scan_intensity.id\n_sas_scan_intensity.momentum_transfer\n"
        "_sas_scan_intensity.intensity\n_sas_scan_intensity.intensity_su_counting\n"
        + table((np.arange(1, N + 1), *Q3))
        + "#\n",
        1,
        0,
        "",
        0,
    ),
    "xdi": (".dat", "# Column.1: q 1/nm\n# Column.2: intensity\n# Column.3: sigma\n" + table(NM), 1, 0, "1/nm", 0),
    "empty cells at the end": (".csv", "q,I,err,note\n" + table(Q3, ",").replace("\n", ",\n"), 1, 0, "", 0),
    "excel": (".csv", "sep=;\nq [1/nm];I [1/cm];err [1/cm]\n" + table(NM, ";", comma, end="\r\n"), 1, 0, "1/nm", 1),
    "xml 1.1": (".xml", xml(), 1, 1, "1/A", 1),
    "xml 1.0 in nm": (".XML", xml("1.0", 10.0, "1/nm"), 1, 1, "1/nm", 1),
    "xml without declaration": (".dat", xml(head=""), 1, 1, "1/A", 1),
    "xml with another encoding": (".xml", xml(head='<?xml version="1.0" encoding="ISO-8859-1"?>\n'), 1, 1, "1/A", 1),
}
