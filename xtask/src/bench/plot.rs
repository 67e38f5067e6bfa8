//! Plots: bars of instructions, and ratios with their spread.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::figures::Measured;
use super::growth::{Growth, SUBJECTS, Subject, WAYS};
use super::rows::{CONTAINERS, Row};
use super::svg::{Anchor, Svg};
use super::wall::{Comparison, Spread};

const MARGIN: f64 = 10.0;
/// From one line of words to the next.
const LINE: f64 = 24.0;
/// How far a text's line is below the middle of its letters.
const BASE: f64 = 4.0;
const COLOURS: [&str; 3] = ["#1b6ca8", "#d1732a", "#4b8b3b"];
const WAY_COLOURS: [&str; 5] = ["#555555", "#d1732a", "#4b8b3b", "#1b6ca8", "#8a4ba8"];
const GREY: &str = "#999999";

/// Of bars: one's height with the room below it, what is between groups, and how wide the parts of a line are.
const BAR: f64 = 14.0;
const BAR_GAP: f64 = 2.0;
const GROUP_GAP: f64 = 8.0;
const ROW_WIDTH: f64 = 230.0;
const BARS_WIDTH: f64 = 420.0;
const FIGURE_WIDTH: f64 = 70.0;
/// From one word of the key to the next.
const KEY_WIDTH: f64 = 130.0;

/// The main table of one kernel: a file's name, and what is in it.
pub fn datapath(measured: &Measured) -> (PathBuf, String) {
    let figures = |row: &Row| {
        CONTAINERS
            .iter()
            .map(|path| measured.get(row.name, path.name))
    };
    let rows = measured.machine.rows.iter();
    let rows: Vec<_> = rows
        .filter(|row| figures(row).any(|it| it.is_some()))
        .collect();
    let all = rows.iter().flat_map(|row| figures(row)).flatten();
    let largest = all.fold(1.0, f64::max);

    let group = CONTAINERS.len() as f64 * BAR + GROUP_GAP;
    let top = 2.0 * (MARGIN + LINE);
    let left = MARGIN + ROW_WIDTH;
    let width = left + BARS_WIDTH + FIGURE_WIDTH + MARGIN;
    let mut svg = Svg::new(
        width as u32,
        (top + rows.len() as f64 * group + MARGIN) as u32,
    );
    let title = format!("Instructions per packet, Linux {}", measured.kernel);
    svg.words((MARGIN, MARGIN + BAR), Anchor::Start, &title);
    for ((index, path), colour) in (0..).zip(CONTAINERS).zip(COLOURS) {
        let (x, y) = (left + KEY_WIDTH * f64::from(index), MARGIN + LINE);
        svg.rectangle((x, y), (BAR - BAR_GAP, BAR - BAR_GAP), colour);
        svg.words(
            (x + BAR + BAR_GAP, y + BAR - BASE),
            Anchor::Start,
            path.title,
        );
    }
    for (index, row) in (0..).zip(rows) {
        let y = top + f64::from(index) * group;
        let middle = y + (group - GROUP_GAP) / 2.0 + BASE;
        svg.words((left - GROUP_GAP, middle), Anchor::End, row.title);
        for ((bar, figure), colour) in (0..).zip(figures(row)).zip(COLOURS) {
            let Some(figure) = figure else { continue };
            let (y, length) = (y + f64::from(bar) * BAR, figure / largest * BARS_WIDTH);
            svg.rectangle((left, y), (length, BAR - BAR_GAP), colour);
            let words = format!("{figure:.0}");
            svg.words(
                (left + length + BASE, y + BAR - BASE),
                Anchor::Start,
                &words,
            );
        }
    }
    let name = format!("datapath-{}.svg", measured.machine.flavour.name);
    (name.into(), svg.finish())
}

/// Of ratios: how wide their labels and the scale are, and what the scale shows.
const LABEL_WIDTH: f64 = 470.0;
const SCALE_WIDTH: f64 = 400.0;
const SCALE: [f64; 2] = [0.5, 1.5];
const STEPS: u32 = 4;

/// The ratios of real traffic to macvlan's, each with its quartiles, and below it that of macvlan to itself.
pub fn ratios(comparisons: &[(&Comparison, Option<&Comparison>)]) -> (PathBuf, String) {
    let top = 2.0 * (MARGIN + LINE);
    let left = MARGIN + LABEL_WIDTH;
    let height = top + comparisons.len() as f64 * LINE + MARGIN;
    let mut svg = Svg::new((left + SCALE_WIDTH + 2.0 * MARGIN) as u32, height as u32);
    let title = "To macvlan's: vnet (above), and macvlan again (below); the median and the middle half of pairs";
    svg.words((MARGIN, MARGIN + BAR), Anchor::Start, title);
    let [least, most] = SCALE;
    let x = |ratio: f64| left + (ratio.clamp(least, most) - least) / (most - least) * SCALE_WIDTH;
    for step in 0..=STEPS {
        let ratio = least + (most - least) * f64::from(step) / f64::from(STEPS);
        let at = x(ratio);
        svg.words((at, top - BASE), Anchor::Middle, &format!("{ratio}"));
        svg.line((at, top), (at, height - MARGIN), GREY);
    }
    for (index, (vnet, again)) in (0..).zip(comparisons) {
        let y = top + f64::from(index) * LINE + LINE / 2.0;
        svg.words((left - GROUP_GAP, y + BASE), Anchor::End, &vnet.title());
        let both = [(Some(*vnet), -BASE, COLOURS[0]), (*again, BASE, GREY)];
        for (comparison, offset, colour) in both {
            let Some(comparison) = comparison else {
                continue;
            };
            let Spread { low, median, high } = comparison.ratio();
            svg.line((x(low), y + offset), (x(high), y + offset), colour);
            svg.circle((x(median), y + offset), BASE - 1.0, colour);
        }
    }
    ("wall.svg".into(), svg.finish())
}

/// Of growth: how large the plot of one subject is, and how many stand side by side.
const PLOT: (f64, f64) = (430.0, 220.0);
const PLOT_MARGIN: f64 = 60.0;
const PLOTS: usize = 2;
/// From one way's word to the next.
const WAY_WIDTH: f64 = 175.0;
/// What the scale of figures shows at least, of the largest: else small differences would look large.
const SHOWN: f64 = 0.1;

/// How each subject grows: both scales are logarithms.
pub fn growth(growth: &Growth) -> (PathBuf, String) {
    let title = format!("Growth, Linux {}", growth.kernel());
    let rows = SUBJECTS.len().div_ceil(PLOTS);
    let top = MARGIN + LINE;
    let (width, height) = PLOT;
    let mut svg = Svg::new(
        (PLOTS as f64 * width + 2.0 * MARGIN) as u32,
        (top + LINE + rows as f64 * height + MARGIN) as u32,
    );
    svg.words((MARGIN, MARGIN + BAR), Anchor::Start, &title);
    for (index, ((_, title), colour)) in (0..).zip(WAYS.iter().zip(WAY_COLOURS)) {
        let x = MARGIN + f64::from(index) * WAY_WIDTH;
        svg.rectangle((x, top), (BAR - BAR_GAP, BAR - BAR_GAP), colour);
        let words = title.replace('`', "");
        svg.words((x + BAR + BAR_GAP, top + BAR - BASE), Anchor::Start, &words);
    }
    for (index, subject) in SUBJECTS.iter().enumerate() {
        let (column, row) = (index % PLOTS, index / PLOTS);
        let at = (
            MARGIN + column as f64 * width,
            top + LINE + row as f64 * height,
        );
        curves(&mut svg, at, growth, subject);
    }
    ("growth.svg".into(), svg.finish())
}

fn curves(svg: &mut Svg, (left, top): (f64, f64), growth: &Growth, subject: &Subject) {
    let points = |way| {
        let figures = growth.of(subject.name, way);
        // There is no logarithm of nothing.
        figures.map(|it| (it.count as f64, it.figure.max(1.0)))
    };
    let all: Vec<(f64, f64)> = WAYS.iter().flat_map(|(way, _)| points(way)).collect();
    let range = |of: fn(&(f64, f64)) -> f64| {
        let least = all.iter().map(of).fold(f64::INFINITY, f64::min);
        (least, all.iter().map(of).fold(1.0, f64::max))
    };
    let (counts, (least, most)) = (range(|point| point.0), range(|point| point.1));
    let figures = (least.min(most * SHOWN), most);
    let part = |value: f64, (least, most): (f64, f64)| match most > least {
        true => (value / least).ln() / (most / least).ln(),
        false => 0.5,
    };
    let (width, height) = (PLOT.0 - 1.5 * PLOT_MARGIN, PLOT.1 - 1.3 * PLOT_MARGIN);
    let (left, top) = (left + PLOT_MARGIN, top + LINE);
    let x = |count: f64| left + part(count, counts) * width;
    let y = |figure: f64| top + (1.0 - part(figure, figures)) * height;
    let title = subject.title.replace('`', "");
    svg.words((left, top - GROUP_GAP), Anchor::Start, &title);
    svg.line((left, top), (left, top + height), GREY);
    svg.line((left, top + height), (left + width, top + height), GREY);
    if all.is_empty() {
        return;
    }
    for figure in [figures.0, figures.1] {
        let words = format!("{figure:.0}");
        svg.words((left - BASE, y(figure) + BASE), Anchor::End, &words);
    }
    for ((way, _), colour) in WAYS.iter().zip(WAY_COLOURS) {
        let points: Vec<(f64, f64)> = points(way)
            .map(|(count, figure)| (x(count), y(figure)))
            .collect();
        for pair in points.windows(2) {
            svg.line(pair[0], pair[1], colour);
        }
        for point in points {
            svg.circle(point, BASE - 1.0, colour);
        }
    }
    let counts: BTreeSet<u64> = all.iter().map(|(count, _)| *count as u64).collect();
    for count in counts {
        let at = (x(count as f64), top + height + BAR);
        svg.words(at, Anchor::Middle, &count.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::rows::MACHINES;

    #[test]
    fn a_curve_goes_from_point_to_point() {
        let (name, svg) = growth(&crate::bench::growth::tests::growth());
        assert_eq!(name, PathBuf::from("growth.svg"));
        // Two ways at two counts, and the same figure at the first.
        assert_eq!(svg.matches("<circle").count(), 4, "{svg}");
        let curves = svg
            .matches(&format!("stroke=\"{}\"", WAY_COLOURS[4]))
            .count();
        assert_eq!(curves, 1, "{svg}");
    }

    #[test]
    fn each_figure_has_a_bar_as_long_as_it_is_large() {
        let output = concat!(
            r#"{"row":"macvlan-on-vlan","path":"rx","instructions":4000}"#,
            "\n",
            r#"{"row":"vnet-veth","path":"tx","instructions":2000}"#,
        );
        let measured = Measured::read(&MACHINES[0], "6.12", output).unwrap();
        let (name, svg) = datapath(&measured);
        assert_eq!(name, PathBuf::from("datapath-6.12.svg"));
        for width in [BARS_WIDTH, BARS_WIDTH / 2.0] {
            let bar = format!("width=\"{width:.1}\" height=\"{:.1}\"", BAR - BAR_GAP);
            assert_eq!(svg.matches(&bar).count(), 1, "{svg}");
        }
    }
}
