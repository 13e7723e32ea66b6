//! Lists and byte strings with a cap that holds from the first byte of decoding.
//!
//! A length that a peer states is a request for memory. Here it is two bytes, checked against the
//! cap of the type before anything is allocated. The encoding is canonical: one value, one byte
//! string.

use borsh::{BorshDeserialize, BorshSerialize};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Error, ErrorKind, Read, Result, Write};

/// At most `MAX` bytes, shared on clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct BoundedBytes<const MAX: usize>(Bytes);

/// At most `MAX` elements.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BoundedVec<T, const MAX: usize>(Vec<T>);

/// A value is longer than its cap.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{length} is longer than the cap of {max}")]
pub struct TooLong {
    /// The length.
    pub length: usize,
    /// The cap.
    pub max: usize,
}

/// Drops the entries below `floor`. For maps that are pruned after every step: nothing is moved and
/// nothing allocated while there is nothing to drop.
pub(crate) fn forget_below<K: Ord, V>(map: &mut BTreeMap<K, V>, floor: &K) {
    while let Some(first) = map.first_entry().filter(|first| first.key() < floor) {
        first.remove();
    }
}

/// The same for a set.
pub(crate) fn forget_members_below<K: Ord>(set: &mut BTreeSet<K>, floor: &K) {
    while set.first().is_some_and(|first| first < floor) {
        set.pop_first();
    }
}

fn read_length<R: Read>(reader: &mut R, max: usize) -> Result<usize> {
    let length = usize::from(u16::deserialize_reader(reader)?);
    if length > max {
        return Err(Error::new(ErrorKind::InvalidData, TooLong { length, max }));
    }
    Ok(length)
}

fn write_length<W: Write>(writer: &mut W, length: usize) -> Result<()> {
    u16::try_from(length).map_err(|_| Error::other("length above 65,535"))?.serialize(writer)
}

impl<const MAX: usize> BoundedBytes<MAX> {
    /// Takes the bytes if they fit.
    pub fn new(bytes: Bytes) -> std::result::Result<Self, TooLong> {
        if bytes.len() > MAX {
            return Err(TooLong { length: bytes.len(), max: MAX });
        }
        Ok(BoundedBytes(bytes))
    }

    /// The bytes, shared.
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }
}

impl<const MAX: usize> std::ops::Deref for BoundedBytes<MAX> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl<const MAX: usize> std::fmt::Debug for BoundedBytes<MAX> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl<const MAX: usize> BorshSerialize for BoundedBytes<MAX> {
    fn serialize<W: Write>(&self, writer: &mut W) -> Result<()> {
        write_length(writer, self.0.len())?;
        writer.write_all(&self.0)
    }
}

impl<const MAX: usize> BorshDeserialize for BoundedBytes<MAX> {
    fn deserialize_reader<R: Read>(reader: &mut R) -> Result<Self> {
        let mut bytes = vec![0; read_length(reader, MAX)?];
        reader.read_exact(&mut bytes)?;
        Ok(BoundedBytes(bytes.into()))
    }
}

impl<T, const MAX: usize> BoundedVec<T, MAX> {
    /// Takes the elements if they fit.
    pub fn new(elements: Vec<T>) -> std::result::Result<Self, TooLong> {
        if elements.len() > MAX {
            return Err(TooLong { length: elements.len(), max: MAX });
        }
        Ok(BoundedVec(elements))
    }

    /// The elements.
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }
}

impl<T, const MAX: usize> Default for BoundedVec<T, MAX> {
    fn default() -> Self {
        BoundedVec(Vec::new())
    }
}

impl<T, const MAX: usize> std::ops::Deref for BoundedVec<T, MAX> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: BorshSerialize, const MAX: usize> BorshSerialize for BoundedVec<T, MAX> {
    fn serialize<W: Write>(&self, writer: &mut W) -> Result<()> {
        write_length(writer, self.0.len())?;
        self.0.iter().try_for_each(|element| element.serialize(writer))
    }
}

impl<T: BorshDeserialize, const MAX: usize> BorshDeserialize for BoundedVec<T, MAX> {
    fn deserialize_reader<R: Read>(reader: &mut R) -> Result<Self> {
        let length = read_length(reader, MAX)?;
        (0..length).map(|_| T::deserialize_reader(reader)).collect::<Result<_>>().map(BoundedVec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cap_holds_before_anything_is_read() {
        let three = [3, 0, 1, 2, 3];
        assert_eq!(&*BoundedBytes::<3>::try_from_slice(&three).unwrap(), [1, 2, 3]);
        assert!(BoundedBytes::<2>::try_from_slice(&three).is_err());
        assert_eq!(&*BoundedVec::<u8, 3>::try_from_slice(&three).unwrap(), [1, 2, 3]);
        assert!(BoundedVec::<u8, 2>::try_from_slice(&three).is_err());
        assert!(BoundedBytes::<9>::try_from_slice(&[9, 0, 1]).is_err(), "truncated");
        assert!(BoundedBytes::<9>::try_from_slice(&[0, 0, 1]).is_err(), "trailing");
    }
}
