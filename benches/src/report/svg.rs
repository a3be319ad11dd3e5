//! Colours that follow the reader's choice of light or dark.
//!
//! A plotting crate knows fixed colours only. So plots are drawn with colours that nothing else has, one per meaning, and each
//! becomes a class of the style sheet.

use plotters::style::RGBColor;

/// What a colour means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ink {
    /// Text and axes.
    Text,
    /// Text that matters less.
    Faint,
    /// The lines of a grid.
    Grid,
    /// Ours.
    Ours,
    /// The C library's.
    C,
    /// Other peers'.
    Peer,
    /// A physical limit.
    Limit,
    /// From the smallest round to the largest one.
    Range,
    /// The `n`th line of a plot.
    Line(u8),
}

/// Different lines that can be told from each other.
pub(super) const LINES: u8 = 12;

impl Ink {
    const NAMED: [(Self, &'static str); 8] = [
        (Self::Text, "text"),
        (Self::Faint, "faint"),
        (Self::Grid, "grid"),
        (Self::Ours, "ours"),
        (Self::C, "c"),
        (Self::Peer, "peer"),
        (Self::Limit, "limit"),
        (Self::Range, "range"),
    ];

    /// The colour to draw with.
    pub(super) fn color(self) -> RGBColor {
        match self {
            Self::Line(number) => RGBColor(2, number % LINES, 7),
            named => {
                let number = Self::NAMED.iter().position(|(other, _)| *other == named).unwrap_or(0);
                RGBColor(1, u8::try_from(number).unwrap_or(0), 7)
            }
        }
    }

    fn all() -> impl Iterator<Item = (Self, String)> {
        let named = Self::NAMED.into_iter().map(|(ink, name)| (ink, name.to_owned()));
        named.chain((0..LINES).map(|number| (Self::Line(number), format!("l{number}"))))
    }

    fn hex(self) -> String {
        let RGBColor(red, green, blue) = self.color();
        format!("#{red:02X}{green:02X}{blue:02X}")
    }
}

/// Puts classes in the place of colours, and makes the plot as wide as its place.
pub(super) fn classes(svg: &str) -> String {
    let mut svg = svg.to_owned();
    for (ink, name) in Ink::all() {
        for (attribute, prefix) in [("fill", "f"), ("stroke", "s")] {
            svg = svg.replace(&format!("{attribute}=\"{}\"", ink.hex()), &format!("class=\"{prefix}-{name}\""));
        }
    }
    // The size is the view box's; how large it is shown is up to the page.
    let head_ends = svg.find('>').unwrap_or(0);
    let (head, rest) = svg.split_at(head_ends);
    let attributes = head.split(' ').filter(|word| !word.starts_with("width=") && !word.starts_with("height="));
    attributes.collect::<Vec<_>>().join(" ") + rest
}

/// The style of the classes.
pub(super) fn style() -> String {
    let mut style = String::new();
    for (_, name) in Ink::all() {
        style += &format!(".f-{name}{{fill:var(--{name})}}.s-{name}{{stroke:var(--{name})}}");
    }
    style
}

/// The colours, for `selector`, light and dark.
pub(super) fn palette(selector: &str) -> String {
    format!("{selector}{{{LIGHT}}}@media(prefers-color-scheme:dark){{{selector}{{{DARK}}}}}")
}

const LIGHT: &str = "--text:#1f2328;--faint:#59636e;--grid:#d8dee4;--ours:#0969da;--c:#bc4c00;--peer:#6e7781;--limit:#1a7f37;\
--range:#1f2328;--l0:#0969da;--l1:#bc4c00;--l2:#1a7f37;--l3:#8250df;--l4:#bf3989;--l5:#9a6700;--l6:#0a7ea4;--l7:#cf222e;\
--l8:#57606a;--l9:#4d6b00;--l10:#7d4e57;--l11:#3b5bdb";
const DARK: &str = "--text:#e6edf3;--faint:#9ba6b2;--grid:#30363d;--ours:#58a6ff;--c:#ff9d57;--peer:#9ba6b2;--limit:#56d364;\
--range:#e6edf3;--l0:#58a6ff;--l1:#ff9d57;--l2:#56d364;--l3:#bc8cff;--l4:#ff80c8;--l5:#e3b341;--l6:#4ac6e8;--l7:#ff7b72;\
--l8:#b1bac4;--l9:#b5d35c;--l10:#d9a5ae;--l11:#91a7ff";

/// A plot that stands alone, with its own style.
pub(super) fn alone(svg: &str) -> String {
    let head_ends = svg.find('>').map_or(0, |end| end + 1);
    let (head, rest) = svg.split_at(head_ends);
    format!("{head}<style>{}{}</style>{rest}", palette(":root"), style())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_become_classes_and_sizes_go_away() {
        let svg = format!(
            "<svg width=\"4\" height=\"3\" viewBox=\"0 0 4 3\"><rect fill=\"{}\" width=\"2\"/></svg>",
            Ink::C.hex()
        );
        assert_eq!(classes(&svg), "<svg viewBox=\"0 0 4 3\"><rect class=\"f-c\" width=\"2\"/></svg>");
    }

    #[test]
    fn every_meaning_has_a_colour_of_its_own_in_both_palettes() {
        let mut seen: Vec<String> = Ink::all().map(|(ink, _)| ink.hex()).collect();
        let count = seen.len();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), count);
        for (_, name) in Ink::all() {
            for palette in [LIGHT, DARK] {
                assert!(format!(";{palette}").contains(&format!(";--{name}:#")), "{name}");
            }
        }
    }

    #[test]
    fn a_plot_that_stands_alone_brings_its_colours() {
        let svg = alone("<svg viewBox=\"0 0 4 3\"><rect class=\"f-c\"/></svg>");
        assert!(svg.starts_with("<svg viewBox=\"0 0 4 3\"><style>:root{--text:"), "{svg}");
        assert!(svg.contains("prefers-color-scheme:dark") && svg.ends_with("<rect class=\"f-c\"/></svg>"));
    }
}
