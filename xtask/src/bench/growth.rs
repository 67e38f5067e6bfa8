//! How cost grows with networks, endpoints and receivers, in machines whose clock counts instructions.

use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use serde_json::{Value, json};

use super::counted::{self, Benchmark};
use super::table::Table;
use crate::build;
use crate::vm::kernel::LINUX_6_12;
use crate::workspace::Workspace;

/// What each machine measures, one beside the other.
const PARTS: [&str; 2] = ["scale", "flood"];
const TIMEOUT: Duration = Duration::from_secs(2700);

/// One figure.
pub struct Figure {
    what: String,
    way: String,
    pub count: u64,
    pub figure: f64,
}

/// All figures of a kernel.
pub struct Growth {
    kernel: String,
    figures: Vec<Figure>,
}

/// One thing that grows, and how a reader calls it.
pub struct Subject {
    pub name: &'static str,
    pub title: &'static str,
    digits: usize,
    /// There is something of the kernel's to compare with.
    compared: bool,
}

const fn subject(name: &'static str, title: &'static str) -> Subject {
    Subject {
        name,
        title,
        digits: 0,
        compared: true,
    }
}

pub const SUBJECTS: [Subject; 8] = [
    Subject {
        digits: 1,
        ..subject("networks-ms", "to set up so many networks, ms")
    },
    subject(
        "networks-bytes",
        "kernel memory of so many networks, bytes each",
    ),
    Subject {
        digits: 1,
        ..subject(
            "endpoints-ms",
            "to set up so many networks with an endpoint each, ms",
        )
    },
    subject(
        "endpoints-bytes",
        "kernel memory of a network with its endpoint, bytes",
    ),
    Subject {
        digits: 1,
        compared: false,
        ..subject("restart-ms", "until a new `serve` has caught up, ms")
    },
    subject("rx", "RX with so many networks, instructions"),
    subject(
        "broadcast",
        "a broadcast to so many endpoints, instructions",
    ),
    subject("arp", "an ARP request to so many endpoints, instructions"),
];

/// The ways to do it, as the benchmark calls them and as a reader does. What the others are compared with comes first.
pub const WAYS: [(&str, &str); 5] = [
    ("vlan-device", "VLAN devices, `ip -batch`"),
    ("macvlan-on-vlan", "macvlan on VLAN devices"),
    ("vnet", "vnet"),
    ("vnet-netkit", "vnet, netkit"),
    ("vnet-veth", "vnet, veth"),
];

/// Measures, with a line for each figure as it comes.
pub fn measure(workspace: &Workspace) -> anyhow::Result<Growth> {
    let executable = build::benchmark(workspace, "datapath")?;
    let terminal = Mutex::new(());
    let watch = |line: &str| {
        let _one_at_a_time = terminal.lock();
        if let Some(Figure {
            what,
            way,
            count,
            figure,
        }) = Figure::read(line)
        {
            println!("{what} {way} {count}: {figure:.1}");
        }
    };
    println!("{}: booting two machines", LINUX_6_12.name);
    thread::scope(|scope| {
        let machines = PARTS.map(|part| {
            let (executable, watch) = (&executable, &watch);
            scope.spawn(move || {
                let benchmark = Benchmark {
                    name: &format!("bench-{part}"),
                    flavour: &LINUX_6_12,
                    executable,
                    arguments: &format!("grow {part}"),
                    timeout: TIMEOUT,
                };
                counted::run(workspace, &benchmark, watch)
            })
        });
        let mut growth = Growth {
            kernel: String::new(),
            figures: Vec::new(),
        };
        for machine in machines {
            let counted = machine
                .join()
                .unwrap_or_else(|_| Err(anyhow!("the thread of a machine panicked")))?;
            growth.kernel = counted.kernel;
            growth.figures.extend(Growth::read(&counted.output)?);
        }
        Ok(growth)
    })
}

impl Figure {
    fn read(line: &str) -> Option<Self> {
        let line: Value = serde_json::from_str(line).ok()?;
        Some(Self {
            what: line["what"].as_str()?.to_owned(),
            way: line["way"].as_str()?.to_owned(),
            count: line["count"].as_u64()?,
            figure: line["figure"].as_f64()?,
        })
    }
}

impl Growth {
    fn read(output: &str) -> anyhow::Result<Vec<Figure>> {
        let figures = output.lines().map(|line| {
            Figure::read(line).with_context(|| format!("the benchmark printed {line:?}"))
        });
        figures.collect()
    }

    /// The kernel that they are of.
    pub fn kernel(&self) -> &str {
        &self.kernel
    }

    /// The figures of a subject by one way, in the order of their counts.
    pub fn of<'a>(&'a self, what: &'a str, way: &'a str) -> impl Iterator<Item = &'a Figure> {
        let figures = self.figures.iter();
        figures.filter(move |figure| figure.what == what && figure.way == way)
    }

    /// All figures, for programs.
    pub fn json(&self) -> anyhow::Result<String> {
        let figures = self.figures.iter().map(
            |it| json!({"what": it.what, "way": it.way, "count": it.count, "figure": it.figure}),
        );
        let all = json!({"kernel": self.kernel, "figures": figures.collect::<Vec<_>>()});
        Ok(serde_json::to_string_pretty(&all)?)
    }

    /// A table for each subject, for people.
    pub fn markdown(&self) -> String {
        let tables = SUBJECTS.iter().filter_map(|subject| self.table(subject));
        format!("## Linux {}\n\n{}", self.kernel, tables.collect::<String>())
    }

    fn table(&self, subject: &Subject) -> Option<String> {
        let mut ways = WAYS
            .iter()
            .map(|(way, title)| {
                let figures: Vec<_> = self.of(subject.name, way).collect();
                (title, figures)
            })
            .filter(|(_, figures)| !figures.is_empty())
            .peekable();
        let (_, reference) = ways.peek()?;
        let reference: Vec<f64> = reference.iter().map(|it| it.figure).collect();
        let counts = ways.peek()?.1.iter().map(|it| it.count.to_string());
        let head: Vec<String> = [subject.title.to_owned()]
            .into_iter()
            .chain(counts)
            .collect();
        let mut table = Table::new(&head.iter().map(String::as_str).collect::<Vec<_>>());
        for (title, figures) in ways {
            let cells = figures.iter().zip(&reference).map(|(it, reference)| {
                let (figure, digits) = (it.figure, subject.digits);
                match subject.compared && *reference > 0.0 {
                    true => format!("{figure:.digits$} ({:.3})", figure / reference),
                    false => format!("{figure:.digits$}"),
                }
            });
            table.row([(*title).to_owned()].into_iter().chain(cells));
        }
        Some(table.render())
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// Some figures.
    pub fn growth() -> Growth {
        let output = concat!(
            r#"{"what":"rx","way":"macvlan-on-vlan","count":1,"figure":4000.0}"#,
            "\n",
            r#"{"what":"rx","way":"macvlan-on-vlan","count":100,"figure":5000.0}"#,
            "\n",
            r#"{"what":"rx","way":"vnet-veth","count":1,"figure":4000.0}"#,
            "\n",
            r#"{"what":"rx","way":"vnet-veth","count":100,"figure":4100.2}"#,
        );
        Growth {
            kernel: "6.12".to_owned(),
            figures: Growth::read(output).unwrap(),
        }
    }

    #[test]
    fn a_table_has_a_column_for_each_count() {
        let text = growth().markdown();
        let expected = "## Linux 6.12\n\n\
            | RX with so many networks, instructions | 1            | 100          |\n\
            | -------------------------------------- | ------------ | ------------ |\n\
            | macvlan on VLAN devices                | 4000 (1.000) | 5000 (1.000) |\n\
            | vnet, veth                             | 4000 (1.000) | 4100 (0.820) |\n\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn what_is_no_figure_is_an_error_that_shows_it() {
        let error = Growth::read("panicked").err().unwrap();
        assert!(error.to_string().contains("panicked"));
    }
}
