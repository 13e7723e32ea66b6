//! The program `alpenglow`: runs one node, makes and checks its files, and starts a small cluster
//! to try it all.

#[cfg(not(feature = "sim"))]
mod cli;

#[cfg(not(feature = "sim"))]
fn main() -> std::process::ExitCode {
    cli::main()
}

/// With the feature `sim`, signatures may be forgeable and verification is remembered for the whole
/// process: right for a simulator, wrong for a validator.
#[cfg(feature = "sim")]
fn main() -> std::process::ExitCode {
    eprintln!(
        "this is a build for the simulator (feature `sim`), and a validator must not run it.\n\
         Build the node without that feature: cargo run --release -p alpenglow-node -- --help\n\
         Or run the simulator: cargo sim --help"
    );
    std::process::ExitCode::from(2)
}
