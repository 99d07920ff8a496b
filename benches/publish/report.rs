//! Every measurement of a run, and the machine it was made on, as JSON.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Map, Value, json};

use crate::measure::Table;
use crate::peer::cores;

/// A run. The file is written after each scenario, so that a run that is stopped early leaves its results.
pub struct Report {
    file: PathBuf,
    machine: Value,
    scenarios: Vec<Value>,
}

impl Report {
    pub fn new(file: PathBuf) -> Report {
        Report {
            file,
            machine: machine(),
            scenarios: Vec::new(),
        }
    }

    pub fn add(&mut self, scenario: &str, table: &Table) {
        self.scenarios
            .push(json!({ "scenario": scenario, "groups": table.json() }));
        let run = json!({ "machine": self.machine, "scenarios": self.scenarios });
        if let Some(folder) = self.file.parent() {
            fs::create_dir_all(folder).expect("a folder for the report");
        }
        let text = serde_json::to_string_pretty(&run).expect("JSON");
        fs::write(&self.file, text + "\n").expect("a report to be written");
        eprintln!("{}", self.file.display());
    }
}

fn machine() -> Value {
    let versions = [
        ("brotli", "--version"),
        ("gzip", "--version"),
        ("lftp", "--version"),
        ("rclone", "version"),
        ("rsync", "--version"),
        ("ssh", "-V"),
        ("tar", "--version"),
    ];
    let tools = versions.map(|(program, ask)| (program.to_owned(), json!(first_line(program, ask))));
    json!({
        "cores": cores(),
        "system": first_line("uname", "-srm"),
        "debug_build": cfg!(debug_assertions),
        "syntax_publish": env!("CARGO_PKG_VERSION"),
        "tools": Map::from_iter(tools),
    })
}

/// Returns the first line that a program prints about itself; `None` if the program is not installed.
fn first_line(program: &str, ask: &str) -> Option<String> {
    let said = Command::new(program).arg(ask).output().ok()?;
    let text = [said.stdout, said.stderr].concat();
    let line = String::from_utf8_lossy(&text)
        .lines()
        .find(|line| !line.trim().is_empty())?
        .trim()
        .to_owned();
    Some(line)
}
