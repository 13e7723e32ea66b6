//! Quantities as people write them in files: "250ms", "64MiB", "0c4f..".
//!
//! A bare number has no unit, and sooner or later somebody reads it in another one. So files hold
//! strings with a unit, and a number is an error.

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::time::Duration;

/// A duration: "400ms", "10s", "2h".
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span(pub Duration);

impl Span {
    /// Whole nanoseconds.
    pub fn as_nanos(self) -> u64 {
        u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX)
    }

    /// From nanoseconds.
    pub fn from_nanos(nanos: u64) -> Span {
        Span(Duration::from_nanos(nanos))
    }
}

impl std::str::FromStr for Span {
    type Err = humantime::DurationError;
    fn from_str(text: &str) -> Result<Span, Self::Err> {
        humantime::parse_duration(text).map(Span)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_duration(self.0))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
        deserializer.deserialize_str(Quantity {
            what: "a duration with its unit, such as \"250ms\"",
            read: |text| text.parse().map_err(|error: humantime::DurationError| error.to_string()),
        })
    }
}

/// Reads a quantity, or says what one looks like.
struct Quantity<T> {
    what: &'static str,
    read: fn(&str) -> Result<T, String>,
}

impl<T> Visitor<'_> for Quantity<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.read)(text)
            .map_err(|error| E::custom(format!("`{text}` is not {}: {error}", self.what)))
    }
}

/// A number of bytes: "64MiB", "1kB".
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Size(pub usize);

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let units = [("GiB", 30), ("MiB", 20), ("KiB", 10), ("B", 0)];
        let whole = |(_, bits): &&(&str, u32)| self.0.is_multiple_of(1 << bits);
        let (unit, bits) = units.iter().find(whole).expect("bytes are whole");
        serializer.collect_str(&format_args!("{}{unit}", self.0 >> bits))
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Size, D::Error> {
        deserializer.deserialize_str(Quantity {
            what: "a size with its unit, such as \"64MiB\"",
            read: |text| {
                if text.trim_end().ends_with(|last: char| last.is_ascii_digit()) {
                    return Err("there is no unit".to_owned());
                }
                let size = text.parse::<bytesize::ByteSize>()?;
                usize::try_from(size.0).map(Size).map_err(|error| error.to_string())
            },
        })
    }
}

/// Exactly `N` bytes in hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hex<const N: usize>(pub [u8; N]);

impl<const N: usize> Serialize for Hex<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(self.0))
    }
}

impl<'de, const N: usize> Deserialize<'de> for Hex<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Hex<N>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut bytes = [0; N];
        hex::decode_to_slice(&text, &mut bytes)
            .map_err(|error| D::Error::custom(format!("not {N} bytes in hexadecimal: {error}")))?;
        Ok(Hex(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct All {
        span: Span,
        size: Size,
        hex: Hex<2>,
    }

    #[test]
    fn quantities_come_back_as_they_were_written() {
        let all = All {
            span: Span(Duration::from_millis(1_250)),
            size: Size(64 << 20),
            hex: Hex([0xab, 1]),
        };
        let text = toml::to_string(&all).unwrap();
        assert!(text.contains("\"64MiB\""), "{text}");
        assert_eq!(toml::from_str::<All>(&text).unwrap(), all, "{text}");
    }

    #[test]
    fn what_has_no_unit_is_refused() {
        for bad in ["span = 250", "span = \"fast\""] {
            let text = format!("{bad}\nsize = \"1MiB\"\nhex = \"ab01\"");
            let error = toml::from_str::<All>(&text).unwrap_err().to_string();
            assert!(error.contains("a duration with its unit, such as \"250ms\""), "{error}");
        }
        for bad in ["size = 64", "size = \"64\"", "size = \"1 pizza\""] {
            let text = format!("{bad}\nspan = \"1s\"\nhex = \"ab01\"");
            let error = toml::from_str::<All>(&text).unwrap_err().to_string();
            assert!(error.contains("a size with its unit, such as \"64MiB\""), "{error}");
        }
        let short = "span = \"1s\"\nsize = \"1MiB\"\nhex = \"ab\"";
        assert!(toml::from_str::<All>(short).unwrap_err().to_string().contains("2 bytes"));
    }
}
