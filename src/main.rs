//! The `syntax-publish` command: parses, starts the runtime, runs, exits. Behavior and output are in [`cli`].

mod cli;

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// A run makes and frees hundreds of thousands of small allocations, on all cores.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().collect();
    if cli::answered_a_shell(&words) {
        return ExitCode::SUCCESS;
    }
    let args = match cli::parse(words) {
        Ok(args) => args,
        Err(code) => return code.into(),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return cli::cannot_start(&args, error).into(),
    };
    let code = runtime.block_on(cli::run(args));
    // Do not wait for threads that are still hashing or compressing for a run that has ended.
    runtime.shutdown_background();
    code.into()
}
