//! Log-log plots, one below the other, as SVG that is readable on white and on black. Pure: lines in, text out.

use std::fmt::Write as _;

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 400.0;

/// Margins around the axes; the names of the lines are in the right margin.
const LEFT: f64 = 62.0;
const RIGHT: f64 = 220.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 48.0;

/// The least vertical distance between two names.
const LINE_HEIGHT: f64 = 15.0;

const STYLE: &str = "<style>text{font:12px system-ui,sans-serif;fill:#24292f}.title{font-size:14px;font-weight:600}\
    .grid{stroke:#d0d7de;stroke-width:1}.line{fill:none;stroke-width:2}\
    @media(prefers-color-scheme:dark){text{fill:#e6edf3}.grid{stroke:#3d444d}}</style>";

#[derive(Clone, Copy)]
pub enum Unit {
    Seconds,
    Bytes,
}

pub struct Line {
    pub name: &'static str,
    pub colour: &'static str,
    pub dashes: &'static str,
    /// Points of (pages, value), sorted by pages; both are greater than zero.
    pub points: Vec<(f64, f64)>,
}

pub struct Panel {
    pub title: &'static str,
    pub unit: Unit,
    pub lines: Vec<Line>,
}

/// Draws the panels below each other, with `foot` as a line below them.
pub fn draw(panels: &[Panel], foot: &str) -> String {
    let mut body = String::new();
    let mut top = 0.0;
    for panel in panels {
        let _ = write!(body, "<g transform=\"translate(0 {top})\">{}</g>", panel.draw());
        top += HEIGHT;
    }
    let width = LEFT + WIDTH + RIGHT;
    let _ = write!(body, "<text x=\"{LEFT}\" y=\"{:.0}\">{foot}</text>", top + 14.0);
    top += 24.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {top}\" width=\"{width}\" height=\"{top}\" \
         role=\"img\" aria-label=\"Time and bytes of an edit against the number of pages\">{STYLE}{body}</svg>\n"
    )
}

impl Panel {
    fn draw(&self) -> String {
        let all = || self.lines.iter().flat_map(|line| &line.points);
        let across = Axis::new(all().map(|point| point.0), LEFT, LEFT + WIDTH);
        let up = Axis::new(all().map(|point| point.1), HEIGHT - BOTTOM, TOP);
        let mut out = format!("<text class=\"title\" x=\"{LEFT}\" y=\"22\">{}</text>", self.title);
        for (value, x) in across.decades() {
            let _ = write!(
                out,
                "<path class=\"grid\" d=\"M{x:.1} {TOP}V{:.1}\"/><text x=\"{x:.1}\" y=\"{:.1}\" \
                 text-anchor=\"middle\">{}</text>",
                HEIGHT - BOTTOM,
                HEIGHT - BOTTOM + 18.0,
                grouped(value),
            );
        }
        for (value, y) in up.decades() {
            let _ = write!(
                out,
                "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{:.1}\"/><text x=\"{:.1}\" y=\"{:.1}\" \
                 text-anchor=\"end\">{}</text>",
                LEFT + WIDTH,
                LEFT - 8.0,
                y + 4.0,
                self.unit.show(value),
            );
        }
        let _ = write!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">pages</text>",
            LEFT + WIDTH / 2.0,
            HEIGHT - 8.0
        );
        let place = |point: &(f64, f64)| (across.at(point.0), up.at(point.1));
        let mut labels = Vec::new();
        for line in &self.lines {
            let places: Vec<(f64, f64)> = line.points.iter().map(place).collect();
            let path: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
            let _ = write!(
                out,
                "<path class=\"line\" d=\"M{}\" stroke=\"{}\" stroke-dasharray=\"{}\"/>",
                path.join("L"),
                line.colour,
                line.dashes
            );
            for (x, y) in &places {
                let _ = write!(
                    out,
                    "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{}\"/>",
                    line.colour
                );
            }
            if let Some(&(x, y)) = places.last() {
                labels.push((y, x, line));
            }
        }
        // One pass from the top down places each label below the previous one; a second pass from the bottom up keeps
        // all labels inside the picture.
        labels.sort_by(|a, b| a.0.total_cmp(&b.0));
        let ends = spread(&labels.iter().map(|label| label.0).collect::<Vec<_>>());
        for (&(from, x, line), y) in labels.iter().zip(ends) {
            let edge = LEFT + WIDTH;
            let _ = write!(
                out,
                "<path d=\"M{x:.1} {from:.1}L{edge:.1} {y:.1}h8\" fill=\"none\" stroke=\"{0}\" stroke-dasharray=\"1 4\"/>\
                 <text x=\"{1:.1}\" y=\"{2:.1}\" style=\"fill:{0}\">{3}</text>",
                line.colour,
                edge + 12.0,
                y + 4.0,
                line.name,
            );
        }
        out
    }
}

/// Moves sorted heights apart until no two names overlap.
fn spread(heights: &[f64]) -> Vec<f64> {
    let mut placed: Vec<f64> = Vec::with_capacity(heights.len());
    for &height in heights {
        let least = placed.last().map_or(TOP, |above| above + LINE_HEIGHT);
        placed.push(height.max(least));
    }
    let mut most = HEIGHT - BOTTOM;
    for height in placed.iter_mut().rev() {
        *height = height.min(most);
        most = *height - LINE_HEIGHT;
    }
    placed
}

/// A logarithmic axis of complete decades.
struct Axis {
    low: i32,
    high: i32,
    from: f64,
    to: f64,
}

impl Axis {
    fn new(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Axis {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values {
            (low, high) = (low.min(value.log10()), high.max(value.log10()));
        }
        assert!(low.is_finite() && high.is_finite(), "something to draw, above nought");
        let (low, high) = (whole(low.floor()), whole(high.ceil()));
        let high = high.max(low + 1);
        Axis { low, high, from, to }
    }

    fn at(&self, value: f64) -> f64 {
        let share = (value.log10() - f64::from(self.low)) / f64::from(self.high - self.low);
        self.from + share * (self.to - self.from)
    }

    fn decades(&self) -> impl Iterator<Item = (f64, f64)> {
        (self.low..=self.high).map(|decade| {
            let value = 10_f64.powi(decade);
            (value, self.at(value))
        })
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a decade is a small whole number")]
fn whole(value: f64) -> i32 {
    value as i32
}

impl Unit {
    fn show(self, value: f64) -> String {
        match self {
            Unit::Seconds if value < 1.0 => format!("{:.0} ms", value * 1000.0),
            Unit::Seconds => format!("{} s", grouped(value)),
            Unit::Bytes if value < 1e3 => format!("{value:.0} B"),
            Unit::Bytes if value < 1e6 => format!("{:.0} KB", value / 1e3),
            Unit::Bytes if value < 1e9 => format!("{:.0} MB", value / 1e6),
            Unit::Bytes => format!("{:.0} GB", value / 1e9),
        }
    }
}

/// Formats a number with commas between thousands.
fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
