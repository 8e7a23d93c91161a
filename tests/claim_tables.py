"""The figures in the authors' tables of claims, row by row, as they were read there; claims.yaml is compared with it.

A line is ``row | subject versus metric figure...; ...``. Subjects are phases of the line of variants, "base" and
"large" of HPCM, or codecs; a figure is "low..high" or single, in percent or dB where it says so, "@" a dataset ("all"
three of them) or, of a quality, a rate in bits per pixel. Rows without any figure say so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

NUMBER = r"-?\d+(?:\.\d+)?"
FIGURE = re.compile(rf"(?P<first>{NUMBER})(?:\.\.(?P<last>{NUMBER}))?(?P<unit>%|dB)?(?:@(?P<tag>[\w.]+))?")
NO_FIGURE = "no figure"
ELSEWHERE = "HPCM's own"

HPCM = """
1 | base - encode_time 81.8; base - decode_time 81.3; base - macs 918.57; base - parameters 68.5
1 | base vtm bd_rate -15.31%@kodak -14.23%@clic2020 -18.16%@tecnick
2 | large - encode_time 91.2; large - decode_time 90.2; large - macs 1261.29; large - parameters 89.71
2 | large vtm bd_rate -19.19%@kodak -18.37%@clic2020 -22.2%@tecnick
"""

MULTIREF = """
1 | 1 base bd_rate -1..-3%
2 | 1 base bd_rate -2..-3%
3 | 1 base bd_psnr 0.1dB
4 | 1 base memory 5%
5 | 1 base total_time 10..15%
6 | 2 base bd_rate -4..-6%
7 | 2 base bd_psnr 0.2..0.3dB
8 | 2 base bd_rate -5..-8%
9 | 2 base memory 15..20%
10 | 2 base total_time 25..30%
11 | 2 1 other 100% 200% 200% 100%
12 | 2 1 memory 200%
13 | 3 base bd_rate -4..-6%
14 | 3 base bd_psnr 0.2..0.3dB
15 | 3 base bd_rate -5..-8%
16 | 3 2 total_time -16.7..-33.3%
17 | 3 2 total_time -15..-25%
18 | 3 2 memory -5..-10%
19 | 3 base total_time 0%
20 | 3 base total_time 10..20%
21 | 3 base memory 15..20%
22 | no figure
23 | no figure
24 | base - psnr 33@1; 1 - psnr 33..34@1; 2 - psnr 33..34@1; 3 - psnr 33..34@1
25 | 1 - other 2..3; 2 - other 3..5; 3 - other 0.5..1 3..5 8..13
26 | 3 - other 8 16
27 | no figure
"""

RWKV = """
1 | 1 base total_time -25..-35%
2 | 1 base total_time -29%
3 | 1 base macs -27%
4 | 1 base memory -22%
5 | 1 base memory -10..-20%
6 | 1 base bd_psnr 0.1..0.2dB 0.15dB
7 | base - psnr 31.2@0.15 33.5@0.25 36.8@0.5; 1 - psnr 31.35@0.15 33.68@0.25 37.02@0.5
8 | 1 base bd_rate 0% -2..-3%
9 | 1 base total_time -15..-25% -24%
10 | 1 base memory -15..-20%
11 | 1 base parameters 5% 0.4%; base - parameters 45; 1 - parameters 45.2
12 | 2 base total_time -30..-45% -35% -35..-45% -35..-40%
13 | 2 1 total_time -25% -25% 0% -14%
14 | 2 base memory -34% -32..-38%
15 | 2 1 memory -5%
16 | 2 base bd_psnr 0.2..0.4dB 0.3dB
17 | 2 1 bd_psnr 0.15dB
18 | 2 base bd_rate -3..-5%
19 | 2 base parameters 8% 1.8%; 2 - parameters 45.8
20 | 2 base macs -99.5%
21 | 3 base total_time -35..-50%
22 | 3 2 total_time -5..-10% -3..-7%
23 | 3 base bd_psnr 0.25..0.45dB; 3 2 bd_psnr 0.05..0.1dB
24 | 3 base memory -35..-40%; 3 2 memory -1..-6% 0..5%
25 | 3 base bd_rate -4..-6%
26 | 3 base parameters 10%
27 | 4 base total_time -40..-55%
28 | 4 3 total_time -15..-20%
29 | 4 base bd_psnr 0.3..0.55dB; 4 3 bd_psnr 0.05..0.1dB
30 | 4 base memory -38..-45%; 4 3 memory 0..5%
31 | 4 base bd_rate -5..-8%
32 | 4 base macs -95% -97% -97% -90% -85%
33 | 4 base parameters 260% 250%; base - parameters 0.05 0.085; 4 - parameters 0.18 0.3
34 | 4 base parameters 5..8%
35 | 4 - other 62
36 | base - other 30 10 25 5 30
37 | base - other 2 4 8
38 | 4 - memory 16
"""

WECONV = """
1 | 1 base bd_rate -2..-5% -2..-5%
2 | 1 1 macs -60%
3 | 2 1 bd_rate -5..-8%@all -7..-10%@all
4 | 2 1 parameters 4% 4%
5 | 2 1 memory 10% 20%; 2 2 memory -15%
6 | 3 2 bd_rate -2..-5%
7 | 3 2 parameters 7%; 3 2 training_time 30%
8 | 3 1 bd_rate -10..-15%@all
9 | 3 1 parameters 11%; 3 1 training_time 50%
10 | 4 1 bd_rate -17..-27%@all
11 | 4 3 bd_rate -7..-12%
12 | 4 3 bd_rate -3..-5% -1..-2% -2..-3% -1..-2%
13 | 4 3 macs 11%; 4 3 memory 15%; 4 3 parameters 8%; 4 3 total_time 11.1%
14 | 4 3 training_time 20%
15 | 4 vtm bd_rate -20..-30%@all
16 | 5 1 bd_rate -21..-34%@kodak; 5 vtm bd_rate -21..-34%@all
17 | 1 vtm bd_rate -2..-5%@all; 3 vtm bd_rate -10..-15%@all; 4 vtm bd_rate -17..-27%@all
18 | 5 4 bd_rate -4..-7%
19 | 5 4 bd_rate -1..-2% -2..-3% -1..-2%
20 | 5 base decode_time -50% -30..-35%
21 | 5 base decode_time -75% -35..-45%
22 | 5 4 decode_time -30..-40%
23 | 5 4 encode_time 5%
24 | 5 3 macs 18%; 5 3 parameters 12%; 5 3 memory 20%; 5 4 macs 7%; 5 4 parameters 4%; 5 4 memory 5%
25 | 5 4 training_time 7%
26 | 1 - other -9.11%@kodak -9.46%@tecnick -9.2%@clic2020
27 | 1 - other 0.2..0.25dB 0.25..0.3dB
28 | HPCM's own
"""

BALANCED = """
1 | 4 base bd_rate -2..-5%
2 | 1 base bd_rate -1..-2%
3 | 2 base bd_rate -2..-3%
4 | 3 base bd_rate -3..-5%
5 | 4 base bd_rate -1..-2%
6 | 1 base bd_psnr 0.15dB; 1 base bd_rate -3.2%
7 | 2 base bd_psnr 0.2dB; 2 base bd_rate -4.5%; 2 - other -0.05
8 | 2 1 other 33% 40%
9 | 2 base bd_psnr 0.1dB
10 | 2 2 training_time -50..-66.7% -60%
11 | 2 - other -90%
12 | 2 - other 0.1 1 50 10 5 50
13 | 2 - other 0.006 0.025
14 | 3 base bd_psnr 0.28dB; 3 base bd_rate -6.2%; 3 - other -0.08
15 | 3 base bd_psnr 0.3dB; 3 base bd_rate -6.8%
16 | 3 2 other 40% 38% 40%
17 | 3 - other 2500; 1 - other 3000; 2 - other 2800; 3 2 other -11% -10% -15%
18 | 3 1 training_time 1%; 3 - other 0.5 0.2 10 5 1
19 | 3 base bd_psnr 0.23dB 0.21dB 0.28dB 0.26dB; 3 base bd_rate -5.1% -4.8% -6.2% -5.9%
20 | 3 base bd_psnr 0.2dB 0.18dB 0.28dB; 3 base bd_rate -4.8% -4.2% -6.2%
21 | no figure
22 | 4 - other 500; base - other 3000; 4 - training_time 20; base - training_time 120
22 | 4 base training_time -83% -66.7..-80%
23 | 4 bpg bd_psnr 0.3dB; 4 bpg bd_rate -6.8%; 4 - ms-ssim 0.987@0.44; 4 - other 0.44
23 | 4 base bd_psnr 0.3dB; 4 base bd_rate -6.8%
24 | 4 bpg bd_psnr 0.32dB; 4 bpg bd_rate -7%; 4 - ms-ssim 0.988@0.43; 4 - other 0.43 400; 4 - training_time 15
25 | 4 bpg bd_psnr 0.31dB; 4 bpg bd_rate -6.9%; 4 - ms-ssim 0.987@0.44; 4 - other 0.44
26 | 3 bpg bd_psnr 0.28dB; 3 bpg bd_rate -6.2%; 3 - ms-ssim 0.985@0.45; 3 - other 0.45
27 | 4 - other 0.042; base - other 0.045
28 | 4 base bd_psnr 0.26dB 0.28dB 0.3dB 0.27dB; 4 base bd_rate -6% -6.4% -6.8% -6.2%
29 | 4 base bd_psnr 0.25dB 0.3dB 0.29dB; 4 base bd_rate -5.8% -6.8% -6.6%; 4 - other 800 500 600
30 | 4 base bd_psnr 0.28dB 0.3dB 0.26dB 0.2dB; 4 - other 700 500 300 200
31 | 4 base bd_psnr 0.26dB 0.3dB 0.3dB 0.3dB; 4 - other 250 400 480
32 | 4 base bd_psnr 0.28dB 0.31dB 0.29dB 0.3dB
33 | 4 - other 200 350 500
34 | 4 - parameters 14.85 5.23 0.21 0.06; 4 - other 1.4
35 | 4 - psnr 32.5@0.21 35.2@0.4 37.1@0.61 38.5@0.83 39.8@1.04; 4 - other 0.965..0.993@kodak
36 | 4 bpg bd_rate -6.8%@kodak -5.9%@clic2020 -7.2%@tecnick; 4 - other -6.6%@all
37 | 4 vtm bd_rate 2.2%@kodak 2.8%@clic2020 1.9%@tecnick; 4 - other 2.3%@all
38 | vtm bpg bd_rate -8.5%@kodak -7.2%@clic2020; 3 bpg bd_rate -6.2%@kodak -5.4%@clic2020
38 | jpeg2000 bpg bd_rate 8.5%@kodak 10.2%@clic2020
39 | 4 bpg bd_psnr 0.3dB@kodak 0.28dB@clic2020; vtm bpg bd_psnr 0.38dB@kodak 0.32dB@clic2020
40 | 4 - other -6.8%
41 | 4 - other -6.82% -6.8% -6.799% 0.1 0.5 5
42 | 4 - other 3 18 25 2.5
43 | 4 - other 6
44 | 4 - other 91
45 | 4 - other 45
46 | HPCM's own
47 | HPCM's own
48 | HPCM's own
49 | 1 - other -2%
"""

TABLES = {"hpcm": HPCM, "multiref": MULTIREF, "rwkv": RWKV, "weconv": WECONV, "balanced": BALANCED}
ROWS = {"hpcm": 2, "multiref": 27, "rwkv": 38, "weconv": 28, "balanced": 49}

# subject, versus, metric, low, high, unit, dataset or rate
Figure = tuple[str, str | None, str, float, float, str, str]


def rows_of(line: str) -> list[tuple[int, str]]:
    """Number and content of each line of a table."""
    pairs = [text.split(" | ") for text in TABLES[line].strip().splitlines()]
    return [(int(number), content) for number, content in pairs]


def figures_of(line: str) -> Iterator[Figure]:
    """Every figure of a table."""
    for _, content in rows_of(line):
        for part in () if content in (NO_FIGURE, ELSEWHERE) else content.split("; "):
            subject, versus, metric, *texts = part.split(" ")
            for text in texts:
                found = FIGURE.fullmatch(text)
                first, last = float(found["first"]), float(found["last"] or found["first"])
                yield (subject, None if versus == "-" else versus, metric, min(first, last), max(first, last),
                       found["unit"] or "", found["tag"] or "")
