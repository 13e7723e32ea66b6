//! Quantities with units, as exact integers.
//!
//! A plan that says `loss = 0.1` or `sync = 200` leaves the reader to guess, and a float that is
//! guessed differently by two C libraries makes two different worlds out of one seed. So every
//! quantity is a string with a unit, and parses to an integer: nanoseconds, parts per billion,
//! bytes, bits per second. Decimals are welcome as long as the integer is exact (`"1.5ms"`,
//! `"0.001%"`); what would have to be rounded is an error that names the smallest step.
//!
//! Printing picks a unit that people like to read, and parsing what was printed gives the same
//! integer back: concrete plans are saved as text and must not drift by a nanosecond.

use serde::de::{Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// A length of time, or a point in virtual time counted from the start of the run; nanoseconds.
/// Written `ns`, `us`, `ms`, `s`, `m` or `h`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Nanos(pub u64);

/// A signed length of time in nanoseconds: how far a clock is off, or jumps. Written like
/// [`Nanos`] with an optional sign.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Offset(pub i64);

/// A share of something, at most all of it; parts per billion. Written as a percentage.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Share(pub u32);

/// How much faster (or slower, if negative) a clock runs than it should; parts per billion.
/// Written `ppm` or `ppb`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Drift(pub i64);

/// An amount of data; bytes. Written `B`, `kB` (1,000), `KiB` (1,024), `MB` or `MiB`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Size(pub u64);

/// A bandwidth; bits per second. Written `bps`, `kbps`, `Mbps` or `Gbps`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Rate(pub u64);

/// Why a quantity cannot be read. The text before the line break says what is wrong, the text
/// after it what to write instead; [`super::PlanError`] shows the two apart.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// A bare number.
    #[error("{text:?} has no unit\n{name} is written with {known}, for example \"{example}\"")]
    NoUnit {
        /// What the plan says.
        text: String,
        /// What was expected, with its article.
        name: &'static str,
        /// The units that exist.
        known: String,
        /// A legal value.
        example: &'static str,
    },
    /// A unit of another quantity, or of none.
    #[error("{text:?}: {unit:?} is not a unit of {name}\nuse {known}, for example \"{example}\"")]
    UnknownUnit {
        /// What the plan says.
        text: String,
        /// The part that should be a unit.
        unit: String,
        /// What was expected, with its article.
        name: &'static str,
        /// The units that exist.
        known: String,
        /// A legal value.
        example: &'static str,
    },
    /// No number where one should be.
    #[error("{text:?} is not {name}\nwrite digits and a unit, for example \"{example}\"")]
    NotANumber {
        /// What the plan says.
        text: String,
        /// What was expected, with its article.
        name: &'static str,
        /// A legal value.
        example: &'static str,
    },
    /// The value lies between two representable ones.
    #[error("{text:?} is finer than {step}\nround it to a multiple of {step}")]
    TooFine {
        /// What the plan says.
        text: String,
        /// The smallest step of this quantity.
        step: &'static str,
    },
    /// The value does not fit.
    #[error("{text:?} is more than {name} can be\nthe largest value is {largest}")]
    TooLarge {
        /// What the plan says.
        text: String,
        /// What was expected, with its article.
        name: &'static str,
        /// The largest legal value.
        largest: String,
    },
}

/// One kind of quantity: its units with their sizes in steps, ascending.
struct Quantity {
    /// With its article, as in "a duration".
    name: &'static str,
    example: &'static str,
    /// The smallest step, in words.
    step: &'static str,
    /// (name, steps, used for printing), ascending.
    units: &'static [(&'static str, u64, bool)],
    /// Digits after the point that printing accepts before it takes a smaller unit.
    decimals: u32,
    signed: bool,
    max: u64,
}

const DURATION: Quantity = Quantity {
    name: "a duration",
    example: "250ms",
    step: "1ns",
    units: &[
        ("ns", 1, true),
        ("us", 1_000, true),
        ("ms", 1_000_000, true),
        ("s", 1_000_000_000, true),
        ("m", 60_000_000_000, false),
        ("h", 3_600_000_000_000, false),
    ],
    decimals: 3,
    signed: false,
    // What TOML integers and signed offsets can hold: 292 years.
    max: i64::MAX as u64,
};
const OFFSET: Quantity =
    Quantity { name: "a signed duration", example: "-3s", signed: true, ..DURATION };
const SHARE: Quantity = Quantity {
    name: "a percentage",
    example: "0.1%",
    step: "0.0000001%",
    units: &[("%", 10_000_000, true)],
    decimals: 7,
    signed: false,
    max: 1_000_000_000,
};
const DRIFT: Quantity = Quantity {
    name: "a drift",
    example: "50ppm",
    step: "1ppb",
    units: &[("ppb", 1, false), ("ppm", 1_000, true)],
    decimals: 3,
    signed: true,
    max: 100_000_000,
};
const SIZE: Quantity = Quantity {
    name: "a size",
    example: "200B",
    step: "1B",
    units: &[
        ("B", 1, true),
        ("kB", 1_000, true),
        ("KB", 1_000, false),
        ("KiB", 1_024, false),
        ("MB", 1_000_000, true),
        ("MiB", 1_048_576, false),
    ],
    decimals: 0,
    signed: false,
    max: i64::MAX as u64,
};
const RATE: Quantity = Quantity {
    name: "a bandwidth",
    example: "1Gbps",
    step: "1bps",
    units: &[
        ("bps", 1, true),
        ("kbps", 1_000, true),
        ("Mbps", 1_000_000, true),
        ("Gbps", 1_000_000_000, true),
    ],
    decimals: 3,
    signed: false,
    max: i64::MAX as u64,
};

impl Quantity {
    fn known(&self) -> String {
        let names: Vec<&str> = self.units.iter().map(|u| u.0).collect();
        match names.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
            _ => names.concat(),
        }
    }

    /// Reads `text` as a sign and a magnitude in steps.
    fn parse(&self, text: &str) -> Result<(bool, u64), UnitError> {
        let (negative, rest) = match text.as_bytes().first() {
            Some(b'-') if self.signed => (true, &text[1..]),
            Some(b'+') if self.signed => (false, &text[1..]),
            _ => (false, text),
        };
        let split = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, unit) = rest.split_at(split);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let (name, example) = (self.name, self.example);
        if whole.is_empty() || fraction.is_empty() || fraction.contains('.') {
            return Err(UnitError::NotANumber { text: text.into(), name, example });
        }
        let Some(&(_, scale, _)) = self.units.iter().find(|u| u.0 == unit) else {
            let (text, known) = (text.into(), self.known());
            return Err(match unit {
                "" => UnitError::NoUnit { text, name, known, example },
                _ => UnitError::UnknownUnit { text, unit: unit.into(), name, known, example },
            });
        };
        let steps = exact(whole, fraction.trim_end_matches('0'), scale)
            .ok_or_else(|| UnitError::TooFine { text: text.into(), step: self.step })?;
        match u64::try_from(steps) {
            Ok(steps) if steps <= self.max => Ok((negative, steps)),
            _ => {
                Err(UnitError::TooLarge { text: text.into(), name, largest: self.print(self.max) })
            }
        }
    }

    /// The text of a magnitude: the largest printing unit that needs few enough decimals.
    fn print(&self, steps: u64) -> String {
        let fits = |scale: u64| {
            steps >= scale
                && (u128::from(steps) * 10u128.pow(self.decimals)).is_multiple_of(scale.into())
        };
        let printing = || self.units.iter().filter(|u| u.2);
        let chosen = match steps {
            // Zero has no natural unit; seconds, percent and bytes read best.
            0 => self.units.iter().find(|u| u.0 == "s").or_else(|| printing().next()),
            _ => printing().rfind(|u| fits(u.1)).or_else(|| printing().next()),
        };
        let &(name, scale, _) = chosen.expect("every quantity has a printing unit");
        let (whole, rest) = (steps / scale, steps % scale);
        if rest == 0 {
            return format!("{whole}{name}");
        }
        let digits = scale.ilog10() as usize;
        let fraction = format!("{rest:0digits$}");
        format!("{whole}.{}{name}", fraction.trim_end_matches('0'))
    }
}

/// `whole.fraction * scale` if that is an integer; a value that overflows saturates.
fn exact(whole: &str, fraction: &str, scale: u64) -> Option<u128> {
    let whole = whole.parse::<u128>().unwrap_or(u128::MAX).saturating_mul(scale.into());
    if fraction.is_empty() {
        return Some(whole);
    }
    let divisor = 10u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let part = fraction.parse::<u128>().ok()?.checked_mul(scale.into())?;
    part.is_multiple_of(divisor).then(|| whole.saturating_add(part / divisor))
}

/// A quantity is a string in TOML; anything else gets the error of a missing unit.
struct Text<T>(&'static Quantity, std::marker::PhantomData<T>);

impl<T: FromStr<Err = UnitError>> Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} such as \"{}\"", self.0.name, self.0.example)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<T, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<T, E> {
        self.visit_str(&value.to_string())
    }
}

macro_rules! quantity {
    ($name:ident, $quantity:ident, |$sign:pat_param, $steps:ident| $make:expr, |$value:ident| $parts:expr) => {
        impl FromStr for $name {
            type Err = UnitError;

            fn from_str(text: &str) -> Result<Self, UnitError> {
                let ($sign, $steps) = $quantity.parse(text)?;
                Ok($make)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let $value = *self;
                let (negative, steps): (bool, u64) = $parts;
                f.pad(&format!("{}{}", if negative { "-" } else { "" }, $quantity.print(steps)))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(Text(&$quantity, std::marker::PhantomData))
            }
        }
    };
}

quantity!(Nanos, DURATION, |_, steps| Nanos(steps), |v| (false, v.0));
quantity!(Offset, OFFSET, |negative, steps| Offset(signed(negative, steps)), |v| (
    v.0 < 0,
    v.0.unsigned_abs()
));
quantity!(Share, SHARE, |_, steps| Share(u32::try_from(steps).expect("at most a billion")), |v| (
    false,
    v.0.into()
));
quantity!(Drift, DRIFT, |negative, steps| Drift(signed(negative, steps)), |v| (
    v.0 < 0,
    v.0.unsigned_abs()
));
quantity!(Size, SIZE, |_, steps| Size(steps), |v| (false, v.0));
quantity!(Rate, RATE, |_, steps| Rate(steps), |v| (false, v.0));

fn signed(negative: bool, steps: u64) -> i64 {
    let value = i64::try_from(steps).expect("every quantity fits i64");
    if negative { -value } else { value }
}

impl Nanos {
    /// So many whole milliseconds.
    pub const fn from_millis(ms: u64) -> Nanos {
        Nanos(ms * 1_000_000)
    }

    /// So many whole seconds.
    pub const fn from_secs(s: u64) -> Nanos {
        Nanos(s * 1_000_000_000)
    }

    /// Seconds with three decimals, rounded down: `"5.000 s"`. For people, never parsed.
    pub fn in_seconds(self) -> String {
        let ms = self.0 / 1_000_000;
        format!("{}.{:03} s", ms / 1_000, ms % 1_000)
    }
}

impl Share {
    /// Nothing.
    pub const NONE: Share = Share(0);
    /// Everything.
    pub const ALL: Share = Share(1_000_000_000);

    /// `value` times this share, rounded down.
    pub fn of(self, value: u64) -> u64 {
        let product = u128::from(value) * u128::from(self.0) / 1_000_000_000;
        u64::try_from(product).expect("a share is at most everything")
    }
}

/// `part` of `total` as a percentage with one decimal, rounded down: `"43.1 %"`. For people.
pub fn percent(part: u64, total: u64) -> String {
    let permille = u128::from(part) * 1_000 / u128::from(total.max(1));
    format!("{}.{} %", permille / 10, permille % 10)
}

#[cfg(test)]
mod tests;
