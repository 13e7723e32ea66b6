//! Runs the body of a test in a process of its own.
//!
//! The problem: one process may run one simulation (statics, thread-local keys and a process-wide
//! random number generator would make the second one a different run), but a Rust test binary runs
//! many tests in one process, and a determinism test needs the same run twice.
//!
//! Our way: the test starts its own binary again, asks it for just this test by name, and sets an
//! environment variable that tells the child to be the body. The child ends its body with a line
//! that the parent looks for: a wrong name would otherwise be a test that runs nothing and passes.
//! This works under `cargo test` and under process-per-test runners alike.

use std::env;
use std::process::{Command, exit};

/// Name and argument of the test body that this process is to run.
const NAME: &str = "SIM_TESTS_CHILD";
const ARGUMENT: &str = "SIM_TESTS_CHILD_ARGUMENT";
/// What a child prints in front of its result.
const RESULT: &str = "sim-tests child result: ";

/// Runs `body` in a child process and fails, with everything the child printed, if it fails there.
///
/// `name` is the full name of the calling test as `--list` shows it (with the module path inside a
/// library, without it at the top of a file in `tests/`).
///
/// # Panics
/// If the child cannot be started, fails, or knows no test of that name.
pub fn in_child(name: &str, body: impl FnOnce()) {
    child_result(name, "", |_| {
        body();
        String::new()
    });
}

/// Runs `body` with `argument` in a child process and returns what it returns there (one line).
///
/// A test may call this several times with different arguments, but with the same body: the child
/// runs the first one that it meets, and nothing after it.
///
/// # Panics
/// As [`in_child`], or if the result has several lines.
pub fn child_result(name: &str, argument: &str, body: impl FnOnce(&str) -> String) -> String {
    if env::var(NAME).is_ok_and(|asked| asked == name) {
        let result = body(&env::var(ARGUMENT).unwrap_or_default());
        assert!(!result.contains(['\n', '\r']), "a result is one line: {result}");
        println!("\n{RESULT}{result}");
        exit(0);
    }
    let binary = env::current_exe().expect("a test knows its own binary");
    let output = Command::new(binary)
        .args([name, "--exact", "--nocapture", "--include-ignored"])
        .env(NAME, name)
        .env(ARGUMENT, argument)
        .output()
        .expect("the test binary can be started again");
    let printed = String::from_utf8_lossy(&output.stdout);
    let result = printed.lines().find_map(|line| line.strip_prefix(RESULT));
    match result {
        Some(result) if output.status.success() => result.to_owned(),
        _ => panic!(
            "test `{name}` failed in its child process ({}, argument `{argument}`)\n\
             ---- stdout ----\n{printed}\n---- stderr ----\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_and_arguments_travel() {
        let test = "testing::tests::results_and_arguments_travel";
        let body = |argument: &str| format!("{argument} from {}", std::process::id());
        let one = child_result(test, "one", body);
        let two = child_result(test, "two", body);
        assert!(one.starts_with("one from ") && two.starts_with("two from "), "{one}, {two}");
        assert_ne!(one[9..], two[9..], "each child is a process of its own");
        assert_ne!(one[9..], std::process::id().to_string());
    }

    #[test]
    #[should_panic(expected = "the reason")]
    fn a_failing_child_fails_with_its_output() {
        let test = "testing::tests::a_failing_child_fails_with_its_output";
        in_child(test, || panic!("{}", ["the", "reason"].join(" ")));
    }

    #[test]
    #[should_panic(expected = "failed in its child process")]
    fn a_wrong_name_fails() {
        in_child("testing::tests::no_such_test", || ());
    }
}
