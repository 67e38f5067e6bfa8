//! Bars of figures, as SVG.

use std::fmt::Write as _;

use super::figures::Measured;
use super::rows::CONTAINERS;

const BAR: u32 = 14;
const GAP: u32 = 4;
const LABEL_WIDTH: u32 = 230;
const BAR_WIDTH: u32 = 420;
const FIGURE_WIDTH: u32 = 70;
const MARGIN: u32 = 10;
const LINE: u32 = 24;
const COLOURS: [&str; 3] = ["#1b6ca8", "#d1732a", "#4b8b3b"];

/// The main table of one kernel: a file's name, and what is in it.
pub fn datapath(measured: &Measured) -> (String, String) {
    let rows: Vec<_> = measured
        .machine
        .rows
        .iter()
        .filter(|row| {
            CONTAINERS
                .iter()
                .any(|path| measured.get(row.name, path.name).is_some())
        })
        .collect();
    let all = rows
        .iter()
        .flat_map(|row| CONTAINERS.iter().map(move |path| (row, path)));
    let largest = all
        .filter_map(|(row, path)| measured.get(row.name, path.name))
        .fold(1.0, f64::max);
    let group = CONTAINERS.len() as u32 * BAR + 2 * GAP;
    let top = 2 * MARGIN + 2 * LINE;
    let height = top + rows.len() as u32 * group + MARGIN;
    let width = 2 * MARGIN + LABEL_WIDTH + BAR_WIDTH + FIGURE_WIDTH;

    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    let mut text = |x: u32, y: u32, anchor: &str, words: &str| {
        let _ = writeln!(
            svg,
            "<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{}</text>",
            escape(words)
        );
    };
    text(
        MARGIN,
        MARGIN + 14,
        "start",
        &format!("Instructions per packet, Linux {}", measured.kernel),
    );
    for (index, path) in CONTAINERS.iter().enumerate() {
        text(
            LABEL_WIDTH + 20 + 130 * index as u32,
            MARGIN + LINE + 14,
            "start",
            path.title,
        );
    }
    for (index, row) in rows.iter().enumerate() {
        let y = top + index as u32 * group;
        text(MARGIN + LABEL_WIDTH - 8, y + group / 2, "end", row.title);
        for (index, path) in CONTAINERS.iter().enumerate() {
            if let Some(figure) = measured.get(row.name, path.name) {
                let x = MARGIN + LABEL_WIDTH + length(figure, largest) + 4;
                text(
                    x,
                    y + index as u32 * BAR + 11,
                    "start",
                    &format!("{figure:.0}"),
                );
            }
        }
    }
    for (index, colour) in COLOURS.iter().enumerate() {
        let x = LABEL_WIDTH + 4 + 130 * index as u32;
        rectangle(&mut svg, x, MARGIN + LINE + 4, 12, 12, colour);
        for (number, row) in rows.iter().enumerate() {
            let Some(figure) = measured.get(row.name, CONTAINERS[index].name) else {
                continue;
            };
            let y = top + number as u32 * group + index as u32 * BAR;
            let x = MARGIN + LABEL_WIDTH;
            rectangle(&mut svg, x, y, length(figure, largest), BAR - 2, colour);
        }
    }
    svg.push_str("</svg>\n");
    (
        format!("datapath-{}.svg", measured.machine.flavour.name),
        svg,
    )
}

fn length(figure: f64, largest: f64) -> u32 {
    (figure / largest * f64::from(BAR_WIDTH)).round() as u32
}

fn rectangle(svg: &mut String, x: u32, y: u32, width: u32, height: u32, colour: &str) {
    let _ = writeln!(
        svg,
        "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" fill=\"{colour}\"/>"
    );
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::rows::MACHINES;

    #[test]
    fn each_figure_has_a_bar_as_long_as_it_is_large() {
        let output = concat!(
            r#"{"row":"macvlan-on-vlan","path":"rx","instructions":4000}"#,
            "\n",
            r#"{"row":"vnet-veth","path":"tx","instructions":2000}"#,
        );
        let measured = Measured::read(&MACHINES[0], "6.12", output).unwrap();
        let (name, svg) = datapath(&measured);
        assert_eq!(name, "datapath-6.12.svg");
        for width in [BAR_WIDTH, BAR_WIDTH / 2] {
            let bar = format!("width=\"{width}\" height=\"{}\"", BAR - 2);
            assert_eq!(svg.matches(&bar).count(), 1, "{svg}");
        }
        assert_eq!(escape("a<b & c"), "a&lt;b &amp; c");
    }
}
