//! Which runs: ranges of seeds, shards of them, and the limits written on the command line.

use crate::plan::{Nanos, Size};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A half-open range of seeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seeds {
    /// The first.
    pub from: u64,
    /// The first that is not in it.
    pub to: u64,
}

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Seeds, String> {
        let number = |text: &str| {
            text.parse::<u64>().map_err(|_| format!("{text:?} is not a number of seeds"))
        };
        let seeds = match text.split_once("..") {
            Some((from, to)) => Seeds { from: number(from)?, to: number(to)? },
            None => Seeds { from: 0, to: number(text)? },
        };
        match seeds.from < seeds.to {
            true => Ok(seeds),
            false => Err(format!("{text:?} holds no seed: write a count such as 100, or 100..200")),
        }
    }
}

impl fmt::Display for Seeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.from, self.to)
    }
}

/// Every `of`-th run, beginning with number `index`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Below `of`.
    pub index: u64,
    /// How many shards there are.
    pub of: u64,
}

impl Shard {
    /// All runs.
    pub const WHOLE: Shard = Shard { index: 0, of: 1 };

    /// True if it makes this run.
    pub fn holds(self, number: u64) -> bool {
        number % self.of == self.index
    }
}

impl FromStr for Shard {
    type Err = String;

    /// Shards are counted from 0 or from 1: N of N is 0 of N.
    fn from_str(text: &str) -> Result<Shard, String> {
        let words = || format!("{text:?} is not a shard: write I/N with I up to N, as in 1/4");
        let (index, of) = text.split_once('/').ok_or_else(words)?;
        let (index, of): (u64, u64) =
            (index.parse().map_err(|_| words())?, of.parse().map_err(|_| words())?);
        match of > 0 && index <= of {
            true => Ok(Shard { index: index % of, of }),
            false => Err(words()),
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

/// Reads a time such as `30m`.
pub fn budget(text: &str) -> Result<Duration, String> {
    let time: Nanos = text.parse().map_err(in_one_line)?;
    Ok(Duration::from_nanos(time.0))
}

/// Reads a size such as `4096MiB`, as MiB.
pub fn memory(text: &str) -> Result<u64, String> {
    let size: Size = text.parse().map_err(in_one_line)?;
    match size.0 >> 20 {
        0 => Err(format!("{text:?} is less than a MiB")),
        mb => Ok(mb),
    }
}

fn in_one_line(error: crate::plan::UnitError) -> String {
    error.to_string().replace('\n', "; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_counts() {
        assert_eq!("100".parse(), Ok(Seeds { from: 0, to: 100 }));
        assert_eq!("7..9".parse(), Ok(Seeds { from: 7, to: 9 }));
        for wrong in ["", "0", "9..9", "9..8", "a", "1..", "-1"] {
            assert!(wrong.parse::<Seeds>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn shards_share_out_every_number_once() {
        let shards: Vec<Shard> = ["1/3", "2/3", "3/3"].map(|s| s.parse().unwrap()).into();
        assert_eq!(shards[2], "0/3".parse().unwrap());
        for number in 0..20 {
            assert_eq!(shards.iter().filter(|shard| shard.holds(number)).count(), 1);
        }
        for wrong in ["4/3", "1", "1/0", "a/b", "/", "1/2/3"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn limits_have_units() {
        assert_eq!(budget("30m"), Ok(Duration::from_secs(1_800)));
        assert_eq!(memory("2048MiB"), Ok(2_048));
        assert!(budget("30").unwrap_err().contains("no unit"));
        assert!(memory("1kB").is_err());
    }
}
