//! The corpus of kept failures: what is fixed stays fixed, canaries still sing, and stale files are
//! named.
#![cfg(feature = "sim")]

use sim_tests::corpus::{self, State};
use sim_tests::pool::{self, Stop};
use sim_tests::worker::Workers;
use std::io::Write;
use std::path::Path;

#[test]
fn kept_failures() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../seeds");
    let workers = Workers::of(env!("CARGO_BIN_EXE_sim").into());
    let all = corpus::replay(&folder, &workers, pool::all_cores(), &Stop::default()).unwrap();
    assert!(!all.is_empty(), "{} holds no seed files", folder.display());
    for stale in all.iter().filter(|one| one.state == State::Stale) {
        // Past the capture of the test harness: a passing test says it, too.
        let path = stale.path.display();
        writeln!(std::io::stderr(), "stale: {path}: {}", stale.detail).unwrap();
    }
    let wrong: Vec<String> = all
        .iter()
        .filter(|one| one.wrong)
        .map(|one| format!("{}: {:?}: {}", one.path.display(), one.state, one.detail))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
