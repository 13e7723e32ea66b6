//! What a large public cluster looks like, in figures.
//!
//! A simulated cluster of equal nodes on equal links hides what hurts in reality: a third of the
//! stake sits with twenty nodes, three fifths of it between Frankfurt and London, and the rest is
//! up to 120 ms away. These are aggregates of public records, rounded; nothing is fetched. Stake:
//! the distribution over 959 active validators in late 2025. Shares of the regions: percent of the
//! stake whose validators are nearest to that city. Round trips: medians and 90th percentiles
//! between cloud regions, as measured by public ping services; the diagonal is inside one region.

/// (rank, hundredths of a percent of all stake that the top `rank` validators hold together).
#[rustfmt::skip]
pub(super) const CUMULATIVE_STAKE: [(u32, u32); 17] = [
    (1, 334), (2, 654), (3, 917), (5, 1396), (10, 2281), (20, 3375), (30, 4189), (50, 5351), (75, 6330), (100, 6952), (150, 7655), (200, 8096), (300, 8700), (400, 9172), (500, 9517), (700, 9882), (959, 10000),
];

/// How many regions there are.
pub(super) const REGIONS: usize = 13;

/// (name, thousandths of the stake), the largest first.
pub(super) const REGION_SHARES: [(&str, u64); REGIONS] = [
    ("frankfurt", 324),
    ("london", 288),
    ("virginia", 89),
    ("stockholm", 88),
    ("ohio", 43),
    ("tokyo", 42),
    ("zurich", 29),
    ("singapore", 24),
    ("oregon", 21),
    ("mumbai", 19),
    ("paris", 16),
    ("hongkong", 9),
    ("mexico", 8),
];

/// Median round trips in tenths of a millisecond; rows and columns as in [`REGION_SHARES`].
#[rustfmt::skip]
pub(super) const ROUND_TRIP_P50: [[u64; REGIONS]; REGIONS] = [
    [40, 180, 930, 230, 1040, 2270, 100, 1610, 1430, 1290, 120, 1940, 1490],
    [180, 33, 780, 310, 880, 2130, 200, 1700, 1290, 1170, 110, 2040, 1340],
    [930, 780, 55, 1120, 160, 1500, 920, 2190, 640, 1910, 840, 1990, 580],
    [230, 310, 1120, 33, 1230, 2470, 280, 1810, 1550, 1490, 320, 2130, 1680],
    [1040, 880, 160, 1230, 54, 1360, 1030, 2040, 510, 2020, 950, 1870, 520],
    [2270, 2130, 1500, 2470, 1360, 28, 2220, 710, 980, 1340, 2190, 520, 1680],
    [100, 200, 920, 280, 1030, 2220, 34, 1550, 1430, 1160, 120, 1880, 1490],
    [1610, 1700, 2190, 1810, 2040, 710, 1550, 37, 1610, 640, 1670, 370, 2420],
    [1430, 1290, 640, 1550, 510, 980, 1430, 1610, 32, 2220, 1350, 1450, 920],
    [1290, 1170, 1910, 1490, 2020, 1340, 1160, 640, 2220, 32, 1090, 980, 2470],
    [120, 110, 840, 320, 950, 2190, 120, 1670, 1350, 1090, 33, 2000, 1400],
    [1940, 2040, 1990, 2130, 1870, 520, 1880, 370, 1450, 980, 2000, 28, 2150],
    [1490, 1340, 580, 1680, 520, 1680, 1490, 2420, 920, 2470, 1400, 2150, 45],
];

/// 90th percentiles of the round trips, likewise.
#[rustfmt::skip]
pub(super) const ROUND_TRIP_P90: [[u64; REGIONS]; REGIONS] = [
    [59, 200, 970, 260, 1080, 2310, 130, 1650, 1460, 1330, 150, 1970, 1550],
    [200, 62, 820, 340, 930, 2190, 230, 1770, 1320, 1210, 140, 2110, 1400],
    [970, 820, 93, 1160, 200, 1560, 960, 2310, 680, 2020, 880, 2100, 650],
    [260, 340, 1160, 54, 1280, 2510, 320, 1850, 1580, 1530, 350, 2180, 1740],
    [1080, 930, 200, 1280, 89, 1420, 1080, 2120, 550, 2100, 1000, 1980, 590],
    [2310, 2190, 1560, 2510, 1420, 59, 2250, 740, 1010, 1450, 2250, 550, 1730],
    [130, 230, 960, 320, 1080, 2250, 53, 1590, 1470, 1200, 150, 1920, 1540],
    [1650, 1770, 2310, 1850, 2120, 740, 1590, 57, 1640, 670, 1710, 400, 2480],
    [1460, 1320, 680, 1580, 550, 1010, 1470, 1640, 59, 2340, 1390, 1480, 960],
    [1330, 1210, 2020, 1530, 2100, 1450, 1200, 670, 2340, 54, 1130, 1020, 2570],
    [150, 140, 880, 350, 1000, 2250, 150, 1710, 1390, 1130, 56, 2050, 1460],
    [1970, 2110, 2100, 2180, 1980, 550, 1920, 400, 1480, 1020, 2050, 49, 2220],
    [1550, 1400, 650, 1740, 590, 1730, 1540, 2480, 960, 2570, 1460, 2220, 80],
];
