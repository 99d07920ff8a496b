//! The `syntax-publish` command: parse, start, run, exit. What it does and says is in [`cli`].

mod cli;

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// A site is hundreds of thousands of small things, made and let go on all cores.
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
    // A thread that still hashes or compresses for a run that ended is not waited for.
    runtime.shutdown_background();
    code.into()
}
