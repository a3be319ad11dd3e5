//! Cases that are points of one curve: `<curve>@<where>`.

use crate::harness::plan::{Better, Flavor, Kind};
use crate::harness::run::Table;

/// A curve per contender.
#[derive(Clone, Debug)]
pub struct Curve<'t> {
    /// Its suite.
    pub suite: &'t str,
    /// Its name.
    pub name: String,
    /// The workload in a sentence.
    pub about: &'t str,
    /// The unit of the figures.
    pub unit: &'t str,
    /// Which figures are good.
    pub better: Better,
    /// Where its points are, in order.
    pub points: Vec<&'t str>,
    /// The contenders, each with a figure per point, if there is one.
    pub lines: Vec<Line<'t>>,
}

/// One contender.
#[derive(Clone, Debug, PartialEq)]
pub struct Line<'t> {
    /// Its name.
    pub name: &'t str,
    /// Who it is.
    pub kind: Kind,
    /// Its flavor.
    pub flavor: Option<Flavor>,
    /// The medians.
    pub figures: Vec<Option<f64>>,
}

/// All curves of a run that have two points or more.
pub fn all(tables: &[Table]) -> Vec<Curve<'_>> {
    let mut curves: Vec<Curve<'_>> = Vec::new();
    for table in tables {
        let Some((name, point)) = table.case.split_once('@') else { continue };
        let curve = match curves.iter().position(|curve| curve.name == name && curve.suite == table.suite) {
            Some(known) => &mut curves[known],
            None => {
                curves.push(Curve {
                    suite: &table.suite,
                    name: name.to_owned(),
                    about: &table.about,
                    unit: &table.unit,
                    better: table.better,
                    points: Vec::new(),
                    lines: Vec::new(),
                });
                curves.last_mut().expect("just pushed")
            }
        };
        add(curve, point, table);
    }
    curves.retain(|curve| curve.points.len() > 1);
    curves
}

fn add<'t>(curve: &mut Curve<'t>, point: &'t str, table: &'t Table) {
    let before = curve.points.len();
    curve.points.push(point);
    for row in &table.rows {
        let line = match curve.lines.iter().position(|line| line.name == row.name) {
            Some(known) => &mut curve.lines[known],
            None => {
                let figures = vec![None; before];
                curve.lines.push(Line { name: &row.name, kind: row.kind, flavor: row.flavor, figures });
                curve.lines.last_mut().expect("just pushed")
            }
        };
        line.figures.push(row.median());
    }
    for line in &mut curve.lines {
        line.figures.resize(before + 1, None);
    }
}
