//! Runs programs, records what they took and computes medians.

use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

/// A program that ran to its end and succeeded.
pub struct Ran {
    pub seconds: f64,
    /// The peak memory in bytes, without that of its child processes.
    pub peak: Option<u64>,
    pub stdout: String,
}

/// Whether to watch the memory of a program, which itself takes a little CPU time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Watch {
    Time,
    Memory,
}

/// Runs a program; panics with its complete output if it fails.
///
/// Flushes the disk first: an `fsync` of this program must not pay for what another program wrote.
pub fn run(mut command: Command, watch: Watch) -> Ran {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (out, err) = (folder.path().join("out"), folder.path().join("err"));
    let to = |path| Stdio::from(File::create(path).expect("a file for the output"));
    command.stdin(Stdio::null()).stdout(to(&out)).stderr(to(&err));
    rustix::fs::sync();
    let began = Instant::now();
    let mut child = command
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", command.get_program().display()));
    let pid = child.id();
    let over = AtomicBool::new(false);
    let (status, seconds, peak) = thread::scope(|scope| {
        let watcher = (watch == Watch::Memory).then(|| scope.spawn(|| watch_memory(pid, &over)));
        let status = child.wait().expect("a child to wait for");
        let seconds = began.elapsed().as_secs_f64();
        over.store(true, Ordering::Relaxed);
        let peak = watcher.and_then(|watcher| watcher.join().expect("a thread that does not panic"));
        (status, seconds, peak)
    });
    let text = |path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
    assert!(status.success(), "{command:?}: {status}\n{}{}", text(&out), text(&err));
    Ran {
        seconds,
        peak,
        stdout: text(&out),
    }
}

/// The high-water mark of a process's memory, from the last read that succeeded before the process ended.
fn watch_memory(pid: u32, over: &AtomicBool) -> Option<u64> {
    let mut peak = None;
    while !over.load(Ordering::Relaxed) {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        peak = kibibytes.map(|kibibytes| kibibytes * 1024).or(peak);
        thread::sleep(Duration::from_millis(2));
    }
    peak
}

/// Makes a command of a program and its arguments.
pub fn command<A: AsRef<OsStr>>(program: &str, args: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(program);
    command.args(args);
    command
}

/// Returns the seconds that `work` took, and its result.
pub fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    rustix::fs::sync();
    let began = Instant::now();
    let done = work();
    (began.elapsed().as_secs_f64(), done)
}

/// The measured values of one quantity, one per round.
#[derive(Clone, Default)]
pub struct Spread(Vec<f64>);

impl Spread {
    pub fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    pub fn median(&self) -> Option<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let middle = sorted.len().checked_sub(1)? / 2;
        let upper = sorted.len() / 2;
        Some(f64::midpoint(sorted[middle], sorted[upper]))
    }

    /// Shows the median and the ends of the range, each formatted by `show`; empty if nothing was measured.
    pub fn show(&self, show: impl Fn(f64) -> String) -> String {
        let Some(median) = self.median() else {
            return String::new();
        };
        let least = self.0.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (least, median, most) = (show(least), show(median), show(most));
        if least == most {
            median
        } else {
            format!("{median} ({least}–{most})")
        }
    }

    /// Divides this by another, measurement by measurement: both were made side by side.
    pub fn over(&self, other: &Spread) -> Spread {
        assert!(
            self.0.len() <= other.0.len(),
            "measured in pairs, those of this perhaps fewer"
        );
        Spread(self.0.iter().zip(&other.0).map(|(a, b)| a / b).collect())
    }

    /// Returns every measurement, in the order in which they were made.
    pub fn values(&self) -> &[f64] {
        &self.0
    }

    /// Adds the same amount to every measurement.
    pub fn plus(&self, more: f64) -> Spread {
        Spread(self.0.iter().map(|value| value + more).collect())
    }
}

pub fn seconds(value: f64) -> String {
    if value < 0.1 {
        format!("{:.0} ms", value * 1000.0)
    } else if value < 20.0 {
        format!("{value:.2} s")
    } else {
        format!("{value:.0} s")
    }
}

pub fn bytes(value: f64) -> String {
    if value < 10_000.0 {
        format!("{value:.0} B")
    } else if value < 1e6 {
        format!("{:.0} KB", value / 1e3)
    } else {
        format!("{:.1} MB", value / 1e6)
    }
}

pub fn count(value: f64) -> String {
    format!("{value:.0}")
}

pub fn times(value: f64) -> String {
    if value < 10.0 {
        format!("{value:.2}×")
    } else {
        format!("{value:.0}×")
    }
}

/// One line of the table.
#[derive(Clone, Default)]
pub struct Row {
    pub what: String,
    pub time: Spread,
    /// The time divided by the time of `syntax-publish`.
    pub against: Spread,
    pub round_trips: Spread,
    pub sent: Spread,
    pub received: Spread,
    pub memory: Spread,
    /// Its place in a plot, if it belongs to one.
    pub point: Option<Point>,
}

/// Names the plot and the line that a measurement belongs to, and its place on that line.
#[derive(Clone, Copy)]
pub struct Point {
    pub tool: &'static str,
    pub pages: usize,
    pub measures: &'static str,
}

impl Row {
    pub fn new(what: impl Into<String>) -> Row {
        Row {
            what: what.into(),
            ..Row::default()
        }
    }

    /// Returns every measurement, not only the medians. Quantities that were not measured are left out.
    fn json(&self) -> Value {
        let mut fields = Map::from_iter([("what".to_owned(), json!(self.what))]);
        if let Some(point) = self.point {
            fields.insert("tool".to_owned(), json!(point.tool));
            fields.insert("pages".to_owned(), json!(point.pages));
            fields.insert("measures".to_owned(), json!(point.measures));
        }
        let spreads = [
            ("time_seconds", &self.time),
            ("time_divided_by_ours", &self.against),
            ("round_trips", &self.round_trips),
            ("sent_bytes", &self.sent),
            ("received_bytes", &self.received),
            ("peak_memory_bytes", &self.memory),
        ];
        for (name, spread) in spreads {
            if !spread.values().is_empty() {
                fields.insert(name.to_owned(), json!(spread.values()));
            }
        }
        Value::Object(fields)
    }

    fn cells(&self) -> [String; COLUMNS] {
        [
            self.what.clone(),
            self.time.show(seconds),
            self.against.show(times),
            self.round_trips.show(count),
            self.sent.show(bytes),
            self.received.show(bytes),
            self.memory.show(bytes),
        ]
    }
}

const COLUMNS: usize = 7;

const HEADS: [&str; COLUMNS] = [
    "",
    "time",
    "time ÷ ours",
    "round trips",
    "sent",
    "received",
    "peak memory",
];

/// All measurements as a Markdown table.
#[derive(Default)]
pub struct Table {
    lines: Vec<[String; COLUMNS]>,
    groups: Vec<(String, Vec<Value>)>,
}

impl Table {
    /// Begins a group of lines that belong together.
    pub fn group(&mut self, name: &str) {
        let mut line = <[String; COLUMNS]>::default();
        line[0] = format!("**{name}**");
        self.lines.push(line);
        self.groups.push((name.to_owned(), Vec::new()));
    }

    pub fn push(&mut self, row: &Row) {
        self.lines.push(row.cells());
        if self.groups.is_empty() {
            self.groups.push((String::new(), Vec::new()));
        }
        if let Some((_, rows)) = self.groups.last_mut() {
            rows.push(row.json());
        }
    }

    /// Returns the groups with their rows.
    pub fn json(&self) -> Value {
        let groups = self.groups.iter();
        groups
            .map(|(name, rows)| json!({ "group": name, "rows": rows }))
            .collect()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heads = HEADS.map(str::to_owned);
        let widths: [usize; COLUMNS] = std::array::from_fn(|column| {
            let cells = self
                .lines
                .iter()
                .chain([&heads])
                .map(|line| line[column].chars().count());
            cells.max().unwrap_or(0)
        });
        let line = |out: &mut fmt::Formatter<'_>, cells: &[String; COLUMNS]| {
            for (cell, &width) in cells.iter().zip(&widths) {
                write!(out, "| {cell:width$} ")?;
            }
            writeln!(out, "|")
        };
        line(out, &heads)?;
        for width in widths {
            write!(out, "|{}", "-".repeat(width + 2))?;
        }
        writeln!(out, "|")?;
        self.lines.iter().try_for_each(|cells| line(out, cells))
    }
}
