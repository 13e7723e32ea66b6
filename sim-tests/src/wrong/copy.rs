//! The program with all patches in it: a copy of the sources, patched, built beside the product.
//!
//! The copy is made at `wrong/` in the target folder, and only files that changed are written, so
//! that cargo rebuilds what changed and nothing else. It is built into the same target folder as
//! the product: then the two share every dependency, and differ in the two packages of the
//! workspace, which get another version. Cargo tells packages of two workspaces in one target folder
//! apart by name, version and place within the workspace alone; without that the product would be
//! linked with the patched library, and would not notice changes of its own sources any more.

use super::{Made, all, named, patch, selector};
use anyhow::{Context, bail, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// What of the workspace is copied.
const PARTS: [&str; 5] = ["Cargo.toml", "Cargo.lock", "rust-toolchain.toml", "node", "sim-tests"];

/// The workspace that this program was built from.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Everything that the patches make of the sources, by path from the root of the workspace.
fn patched() -> Result<BTreeMap<String, String>, patch::Mismatch> {
    let names = all().filter(|wrong| matches!(wrong.made, Made::Patch)).map(|wrong| wrong.name);
    patch::assemble(&root(), &root().join("sim-tests/wrong"), names)
}

/// A manifest or lock file in which the packages of the workspace have the version of the copy.
fn renamed(text: &str) -> String {
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    let other = |name: &str| {
        let old = format!("{name}\nversion = \"{VERSION}\"");
        (old.clone(), format!("{}-patched\"", old.trim_end_matches('"')))
    };
    let places = ["[workspace.package]", "name = \"alpenglow-node\"", "name = \"sim-tests\""];
    places.map(other).iter().fold(text.to_owned(), |text, (old, new)| text.replace(old, new))
}

/// The files below `path`, without what other packages and tools keep there.
fn files(path: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if !path.is_dir() {
        found.push(path.to_owned());
        return Ok(());
    }
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let skipped = ["fuzz", "target", "snapshots"].map(Into::into);
        if !skipped.contains(&entry.file_name()) {
            files(&entry.path(), found)?;
        }
    }
    Ok(())
}

/// Writes the file unless it holds just this.
fn write(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    if std::fs::read(path).is_ok_and(|known| known == content) {
        return Ok(());
    }
    let folder = path.parent().expect("it lies in the copy");
    std::fs::create_dir_all(folder)?;
    std::fs::write(path, content).with_context(|| format!("{} cannot be written", path.display()))
}

/// Makes the copy, and removes what the sources no longer have.
fn make(copy: &Path) -> anyhow::Result<()> {
    let root = root();
    let mut patched = patched()?;
    let mut sources = Vec::new();
    for part in PARTS {
        let path = root.join(part);
        files(&path, &mut sources).with_context(|| format!("{}", path.display()))?;
    }
    let mut written = BTreeSet::new();
    for source in sources {
        let name = source.strip_prefix(&root).expect("it lies below the root");
        let patched = name.to_str().and_then(|name| patched.remove(name));
        let content = match (name.to_str(), patched) {
            (Some("Cargo.toml" | "Cargo.lock"), _) => {
                renamed(&std::fs::read_to_string(&source)?).into_bytes()
            }
            (_, Some(content)) => content.into_bytes(),
            _ => std::fs::read(&source)?,
        };
        write(&copy.join(name), &content)?;
        written.insert(copy.join(name));
    }
    for (name, content) in patched {
        write(&copy.join(&name), content.as_bytes())?;
        written.insert(copy.join(name));
    }
    let mut old = Vec::new();
    files(copy, &mut old)?;
    for gone in old.iter().filter(|path| !written.contains(*path)) {
        std::fs::remove_file(gone)?;
    }
    Ok(())
}

/// Builds the program with the patches.
fn build() -> anyhow::Result<PathBuf> {
    let me = std::env::current_exe()?;
    // target/release/sim, or target/debug/deps/NAME for a test.
    let target = me.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
    let target = target.context("this program is not in a target folder of cargo")?;
    let copy = target.join("wrong");
    make(&copy)?;
    eprintln!("building the sources with all patches in {}", copy.display());
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    if !copy.canonicalize()?.starts_with(root().canonicalize()?) {
        // A target folder elsewhere: cargo would not come upon the settings of the workspace.
        cargo.arg("--config").arg(root().join(".cargo/config.toml"));
    }
    let status = cargo
        .args(["build", "--quiet", "--release", "--locked", "--package", "sim-tests"])
        .args(["--features", "sim", "--bin", "sim-wrong", "--target-dir"])
        .arg(target)
        .current_dir(&copy)
        .status()
        .context("cargo cannot be started")?;
    if !status.success() {
        bail!(
            "the patches in sim-tests/wrong/ apply, but what they make does not build\n\
             remedy: read the errors above; the patched sources are in {}",
            copy.display()
        );
    }
    Ok(target.join("release/sim-wrong"))
}

/// The program in which this wrong node can be planted, if it is not this one. It is built when it
/// is first wanted.
///
/// # Errors
/// If there is no such wrong node, or the program cannot be built.
pub fn program(name: &str) -> anyhow::Result<Option<&'static Path>> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let elsewhere = named(name)?.is_elsewhere();
    if !elsewhere {
        return Ok(None);
    }
    match BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}"))) {
        Ok(program) => Ok(Some(program)),
        Err(error) => bail!("{error}"),
    }
}

/// Lets the program that has this wrong node do what this one was asked to do; returns if this one
/// has it.
///
/// # Errors
/// As [`program`], or if it cannot be started.
pub fn hand_over(name: &str) -> anyhow::Result<()> {
    let Some(program) = program(name)? else { return Ok(()) };
    ensure!(!selector::PATCHED, "the program with the patches has them all");
    let failed = Command::new(program).args(std::env::args_os().skip(1)).exec();
    Err(failed).with_context(|| format!("{} cannot be started", program.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without building: every patch finds its lines, and asks whether it is planted. There is no
    /// patch without a row.
    #[test]
    fn every_patch_applies() {
        let files = patched().unwrap_or_else(|error| panic!("{error}"));
        assert!(files.contains_key("node/src/planted.rs"));
        let folder = std::fs::read_dir(root().join("sim-tests/wrong")).unwrap();
        let patches: BTreeSet<String> = folder
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "patch"))
            .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
            .collect();
        let rows = all().filter(|wrong| matches!(wrong.made, Made::Patch));
        let mut rows: BTreeSet<String> = rows.map(|wrong| wrong.name.to_owned()).collect();
        rows.insert("selector".into());
        assert_eq!(patches, rows);
    }

    #[test]
    fn the_copy_is_the_sources_with_the_patches() {
        let place = tempfile::tempdir().unwrap();
        let copy = place.path().join("copy");
        std::fs::create_dir_all(copy.join("node/src")).unwrap();
        std::fs::write(copy.join("node/src/gone.rs"), "old").unwrap();
        make(&copy).unwrap();
        let read = |name: &str| std::fs::read_to_string(copy.join(name)).unwrap();
        assert!(!copy.join("node/src/gone.rs").exists());
        assert!(read("node/src/protocol/pool/tally.rs").contains("planted::is(\"counts-twice\")"));
        assert!(read("sim-tests/Cargo.toml").contains("name = \"sim-wrong\""));
        let same = |name: &str| read(name) == std::fs::read_to_string(root().join(name)).unwrap();
        assert!(same("node/src/host/driver.rs") && same("node/Cargo.toml"));
        let renamed = |name: &str| read(name).matches("-patched\"").count();
        assert_eq!((renamed("Cargo.toml"), renamed("Cargo.lock")), (1, 2), "no unit is shared");
    }
}
