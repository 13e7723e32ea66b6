//! The key file: one line, readable by its owner and nobody else.
//!
//! A secret that a group or the world can read is no secret, so such a file is refused rather than
//! used with a warning. No error here carries a byte of the file. Buffers are wiped.

use super::Keys;
use crate::crypto::Scheme;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// What the file begins with.
const TAG: &[u8] = b"alpenglow-key-1 ";
const SEED_BYTES: usize = 32;
const FILE_BYTES: usize = TAG.len() + 2 * SEED_BYTES + 1;

/// Why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The system says no.
    #[error("key file {}: {error}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Others may read or write it.
    #[error(
        "key file {} has mode {mode:04o}, so others than its owner can use it. Run `chmod 600` on \
         it; if others had access to this machine, the key is not secret any more",
        path.display()
    )]
    Mode {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It does not hold a key.
    #[error("key file {} does not hold a key of this program", path.display())]
    Format {
        /// Which file.
        path: PathBuf,
    },
}

/// Makes a new key from the system's randomness in a new file of mode 0600.
///
/// # Errors
/// [`KeyFileError::Io`], also if there is such a file already.
pub fn create(path: &Path) -> Result<Keys, KeyFileError> {
    let error = |error| KeyFileError::Io { path: path.to_owned(), error };
    let mut seed = Zeroizing::new([0; SEED_BYTES]);
    getrandom::fill(&mut *seed).map_err(|failure| error(io::Error::other(failure)))?;
    let mut line = Zeroizing::new([0; FILE_BYTES]);
    line[..TAG.len()].copy_from_slice(TAG);
    let digits = &mut line[TAG.len()..FILE_BYTES - 1];
    hex::encode_to_slice(&seed[..], digits).expect("two digits for each byte");
    line[FILE_BYTES - 1] = b'\n';
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(error)?;
    file.write_all(&*line).and_then(|()| file.sync_all()).map_err(error)?;
    Ok(Keys::from_seed(Scheme::Bls, &seed))
}

/// Reads a key.
///
/// # Errors
/// See [`KeyFileError`].
pub fn read(path: &Path) -> Result<Keys, KeyFileError> {
    let error = |error| KeyFileError::Io { path: path.to_owned(), error };
    let mut file = File::open(path).map_err(error)?;
    let mode = file.metadata().map_err(error)?.mode() & 0o7777;
    if mode & !0o600 != 0 {
        return Err(KeyFileError::Mode { path: path.to_owned(), mode });
    }
    let format = || KeyFileError::Format { path: path.to_owned() };
    let mut line = Zeroizing::new([0; FILE_BYTES]);
    file.read_exact(&mut *line).map_err(|failure| match failure.kind() {
        io::ErrorKind::UnexpectedEof => format(),
        _ => error(failure),
    })?;
    let digits = line.strip_prefix(TAG).and_then(|rest| rest.strip_suffix(b"\n"));
    let mut seed = Zeroizing::new([0; SEED_BYTES]);
    hex::decode_to_slice(digits.ok_or_else(format)?, &mut *seed).map_err(|_| format())?;
    Ok(Keys::from_seed(Scheme::Bls, &seed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{Permissions, read_to_string, set_permissions, write};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_comes_back_and_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.key");
        let made = create(&path).unwrap();
        assert_eq!(read(&path).unwrap().validator(1), made.validator(1));
        assert!(matches!(create(&path), Err(KeyFileError::Io { .. })));
        let other = create(&dir.path().join("other.key")).unwrap();
        assert_ne!(other.validator(1), made.validator(1));
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.key");
        create(&path).unwrap();
        for mode in [0o640, 0o604, 0o700] {
            set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert!(matches!(read(&path), Err(KeyFileError::Mode { mode: m, .. }) if m == mode));
        }
        set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
        read(&path).unwrap();
    }

    #[test]
    fn errors_do_not_show_what_is_in_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.key");
        create(&path).unwrap();
        let secret = read_to_string(&path).unwrap().replace("key-1", "key-9");
        write(&path, &secret).unwrap();
        let error = format!("{0} {0:?}", read(&path).unwrap_err());
        assert!(!secret.split(' ').any(|part| error.contains(part.trim())), "{error}");
    }
}
