//! The plots: bars of a case, lines of a curve, and all ratios of a run at once. Narrow enough for a phone.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::curves::{Curve, Line};
use super::svg::{Ink, LINES, classes};
use crate::harness::plan::{Better, Kind};
use crate::harness::run::{Outcome, Row, Table};
use crate::harness::stats::Summary;
use crate::harness::table::figure;
use crate::verdict;

const WIDTH: u32 = 400;
const FONT: i32 = 16;
/// A row of bars or of a legend.
const ROW: i32 = 21;
/// Figures further apart than this are drawn on a logarithmic axis.
const FAR: f64 = 12.0;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
/// What plotters says when it fails; drawing into a string does not.
type Drawn = Result<(), Box<dyn std::error::Error>>;

/// Draws, and puts classes in the place of colours.
fn drawn(height: u32, draw: impl FnOnce(&Area<'_>) -> Drawn) -> String {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        let answer = draw(&area);
        // A string does not refuse.
        debug_assert!(answer.is_ok(), "{answer:?}");
        let _ = area.present();
    }
    classes(&svg)
}

fn text(area: &Area<'_>, what: &str, at: (i32, i32), ink: Ink, horizontal: HPos) -> Drawn {
    let style = ("sans-serif", FONT).into_font().color(&ink.color()).pos(Pos::new(horizontal, VPos::Center));
    area.draw(&Text::new(what.to_owned(), at, style))?;
    Ok(())
}

fn line(area: &Area<'_>, from: (i32, i32), to: (i32, i32), ink: Ink) -> Drawn {
    area.draw(&PathElement::new(vec![from, to], ink.color()))?;
    Ok(())
}

fn rectangle(area: &Area<'_>, from: (i32, i32), to: (i32, i32), ink: Ink) -> Drawn {
    area.draw(&Rectangle::new([from, to], ink.color().filled()))?;
    Ok(())
}

fn ink_of(name: &str, kind: Kind) -> Ink {
    match kind {
        Kind::Ours => Ink::Ours,
        Kind::Limit => Ink::Limit,
        Kind::Peer if name.starts_with("liburcu") => Ink::C,
        Kind::Peer => Ink::Peer,
    }
}

// ---- bars ----

/// From figures to pixels.
struct Scale {
    low: f64,
    high: f64,
    is_logarithmic: bool,
    from: i32,
    to: i32,
}

impl Scale {
    /// One that all these figures fit into; linear ones begin at zero.
    fn of(figures: &[f64], from: i32, to: i32) -> Option<Self> {
        let positive = || figures.iter().copied().filter(|figure| *figure > 0.0);
        let (low, high) = (positive().reduce(f64::min)?, positive().reduce(f64::max)?);
        let is_logarithmic = high / low > FAR;
        let (low, high) = if is_logarithmic { (low / 1.5, high * 1.2) } else { (0.0, high * 1.02) };
        Some(Self { low, high, is_logarithmic, from, to })
    }

    // In the picture, after clamping.
    #[allow(clippy::cast_possible_truncation)]
    fn pixel(&self, figure: f64) -> i32 {
        let part = if self.is_logarithmic {
            (figure.max(self.low) / self.low).ln() / (self.high / self.low).ln()
        } else {
            (figure - self.low) / (self.high - self.low)
        };
        self.from + (part.clamp(0.0, 1.0) * f64::from(self.to - self.from)).round() as i32
    }

    /// Where the grid's lines are.
    fn ticks(&self) -> Vec<f64> {
        if self.is_logarithmic {
            let powers = (-9..=15).map(|power| 10_f64.powi(power));
            let ticks: Vec<f64> = powers.filter(|tick| (self.low..=self.high).contains(tick)).collect();
            let every = ticks.len().div_ceil(5).max(1);
            return ticks.into_iter().step_by(every).collect();
        }
        let step = 10_f64.powf((self.high / 3.0).log10().floor());
        let step =
            [5.0, 2.0, 1.0].map(|times| times * step).into_iter().find(|step| self.high / step >= 2.0).unwrap_or(step);
        (0..=8).map(|number| f64::from(number) * step).filter(|tick| *tick <= self.high).collect()
    }
}

/// A figure for an axis.
pub(super) fn short(value: f64) -> String {
    let (value, unit) = match value.abs() {
        size if size >= 1e9 => (value / 1e9, "G"),
        size if size >= 1e6 => (value / 1e6, "M"),
        size if size >= 1e4 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let digits = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{value:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{unit}")
}

/// Bars of a case, the best on top; none when nothing was measured.
pub fn bars(table: &Table) -> Option<String> {
    let mut rows: Vec<(&Row, &Summary)> = table
        .rows
        .iter()
        .filter_map(|row| match &row.outcome {
            Outcome::Measured { summary, .. } => Some((row, summary)),
            _ => None,
        })
        .collect();
    rows.sort_by(|(_, one), (_, two)| one.median.total_cmp(&two.median));
    if table.better == Better::Higher {
        rows.reverse();
    }
    let widest = rows.iter().map(|(row, _)| row.name.chars().count()).max()?;
    // About what a letter takes.
    let left = (7 * i32::try_from(widest).unwrap_or(0) + 8).clamp(60, 190);
    let right = i32::try_from(WIDTH).unwrap_or(0) - 62;
    let figures: Vec<f64> = rows.iter().map(|(_, summary)| summary.median).collect();
    let scale = Scale::of(&figures, left, right)?;
    let count = i32::try_from(rows.len()).unwrap_or(0);
    let bottom = 6 + count * ROW;
    let svg = drawn(u32::try_from(bottom + 24).unwrap_or(0), |area| {
        for tick in scale.ticks() {
            let x = scale.pixel(tick);
            line(area, (x, 2), (x, bottom), Ink::Grid)?;
            text(area, &short(tick), (x, bottom + 12), Ink::Faint, HPos::Center)?;
        }
        for (number, (row, summary)) in (0..).zip(&rows) {
            let middle = 4 + ROW * number + ROW / 2;
            text(area, &row.name, (left - 6, middle), Ink::Text, HPos::Right)?;
            let end = scale.pixel(summary.median);
            rectangle(area, (left, middle - 6), (end.max(left + 1), middle + 6), ink_of(&row.name, row.kind))?;
            let (least, most) = (scale.pixel(summary.min), scale.pixel(summary.max));
            if most > least + 1 {
                line(area, (least, middle), (most, middle), Ink::Range)?;
                line(area, (least, middle - 3), (least, middle + 3), Ink::Range)?;
                line(area, (most, middle - 3), (most, middle + 3), Ink::Range)?;
            }
            let width = i32::try_from(WIDTH).unwrap_or(0);
            text(area, &short(summary.median), (width - 2, middle), Ink::Text, HPos::Right)?;
        }
        line(area, (left, 2), (left, bottom), Ink::Faint)
    });
    Some(svg)
}

// ---- curves ----

/// One line per contender over the points of a curve; none when there is nothing to draw.
pub fn curve(curve: &Curve<'_>) -> Option<String> {
    let lines: Vec<&Line<'_>> = curve.lines.iter().filter(|line| line.figures.iter().flatten().count() > 1).collect();
    let figures =
        || lines.iter().flat_map(|line| line.figures.iter().flatten().copied()).filter(|figure| *figure > 0.0);
    let (low, high) = (figures().reduce(f64::min)?, figures().reduce(f64::max)?);
    let legend = i32::try_from(lines.len().div_ceil(2)).unwrap_or(0) * ROW;
    let plot = 260;
    let last = curve.points.len() - 1;
    let svg = drawn(u32::try_from(plot + legend + 6).unwrap_or(0), |area| {
        let (above, below) = area.split_vertically(plot);
        // Exact: a few points.
        #[allow(clippy::cast_precision_loss)]
        let mut chart = ChartBuilder::on(&above)
            .margin(6)
            .margin_right(18)
            .x_label_area_size(24)
            .y_label_area_size(46)
            .build_cartesian_2d(0.0..last as f64, (low / 1.3..high * 1.3).log_scale())?;
        let label = ("sans-serif", FONT).into_font().color(&Ink::Faint.color());
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(Ink::Grid.color())
            .axis_style(Ink::Faint.color())
            .x_labels(curve.points.len())
            .x_label_formatter(&|at| point(curve, *at))
            .y_labels(6)
            .y_label_formatter(&|value| short(*value))
            .label_style(label)
            .draw()?;
        for (number, line) in lines.iter().enumerate() {
            // Exact: a few points.
            #[allow(clippy::cast_precision_loss)]
            let points = || {
                let figures = line.figures.iter().enumerate();
                figures
                    .filter_map(|(at, figure)| figure.filter(|figure| *figure > 0.0).map(|figure| (at as f64, figure)))
            };
            let style = look(number, line);
            if is_dashed(line) {
                chart.draw_series(DashedLineSeries::new(points(), 5, 4, style))?;
            } else {
                chart.draw_series(LineSeries::new(points(), style))?;
            }
            chart.draw_series(points().map(|at| Circle::new(at, 2, ink(number).color().filled())))?;
        }
        for (number, line) in lines.iter().enumerate() {
            let (column, row) = (i32::try_from(number % 2).unwrap_or(0), i32::try_from(number / 2).unwrap_or(0));
            let (left, middle) = (4 + column * 200, row * ROW + ROW / 2);
            let ends = [(left, middle), (left + 22, middle)];
            let style = look(number, line);
            if is_dashed(line) {
                for start in [0, 9, 18] {
                    let dash = vec![(left + start, middle), (left + (start + 5).min(22), middle)];
                    below.draw(&PathElement::new(dash, style))?;
                }
            } else {
                below.draw(&PathElement::new(ends.to_vec(), style))?;
            }
            text(&below, line.name, (left + 26, middle), Ink::Text, HPos::Left)?;
        }
        Ok(())
    });
    Some(svg)
}

/// The name of the point at a place of the axis.
// Rounded to one of the few points; what is between two of them has no name.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn point(curve: &Curve<'_>, at: f64) -> String {
    if (at - at.round()).abs() > 0.01 {
        return String::new();
    }
    curve.points.get(at.round() as usize).map(ToString::to_string).unwrap_or_default()
}

fn ink(number: usize) -> Ink {
    Ink::Line(u8::try_from(number % usize::from(LINES)).unwrap_or(0))
}

fn look(number: usize, line: &Line<'_>) -> ShapeStyle {
    ink(number).color().stroke_width(if line.kind == Kind::Ours { 3 } else { 1 })
}

/// What is not ours is thin, and what is the C library's is dashed.
fn is_dashed(line: &Line<'_>) -> bool {
    line.kind == Kind::Peer && line.name.starts_with("liburcu")
}

// ---- all ratios ----

/// For each suite, how many times as good as the best peer each of our rows is: a dot per row.
pub fn overview(tables: &[Table]) -> String {
    let mut suites: Vec<(&str, Vec<f64>)> = Vec::new();
    for table in tables {
        let verdicts = table.rows.iter().filter_map(|row| verdict::of_best(table, row));
        for verdict in verdicts {
            match suites.iter_mut().find(|(suite, _)| *suite == table.suite) {
                Some((_, times)) => times.push(verdict.times),
                None => suites.push((&table.suite, vec![verdict.times])),
            }
        }
    }
    const LEFT: i32 = 74;
    let right = i32::try_from(WIDTH).unwrap_or(0) - 14;
    let scale = Scale { low: 0.1, high: 100.0, is_logarithmic: true, from: LEFT, to: right };
    let bottom = 6 + 2 * ROW * i32::try_from(suites.len()).unwrap_or(0);
    drawn(u32::try_from(bottom + 42).unwrap_or(0), |area| {
        for (tick, name) in [(0.1, "0.1"), (0.5, "0.5"), (1.0, "1"), (2.0, "2"), (10.0, "10"), (100.0, "100")] {
            let x = scale.pixel(tick);
            let is_one = name == "1";
            line(area, (x, 2), (x, bottom), if is_one { Ink::Text } else { Ink::Grid })?;
            text(area, name, (x, bottom + 12), Ink::Faint, HPos::Center)?;
        }
        text(area, "times as good as the best peer", (scale.pixel(1.0), bottom + 30), Ink::Faint, HPos::Center)?;
        for (number, (suite, times)) in (0..).zip(&suites) {
            let middle = 4 + 2 * ROW * number + ROW;
            text(area, suite, (LEFT - 6, middle), Ink::Text, HPos::Right)?;
            for (place, times) in (0..).zip(times) {
                // Beside each other, so that equal ones can be seen.
                let y = middle - 12 + (place * 7) % 25;
                let ink = if *times < 1.0 { Ink::C } else { Ink::Ours };
                area.draw(&Circle::new((scale.pixel(*times), y), 2, ink.color().filled()))?;
            }
        }
        Ok(())
    })
}

/// A figure for a cell.
pub(super) fn cell(value: f64) -> String {
    figure(value)
}
