//! `vnet-user stats`.

use std::{collections::BTreeMap, time::Duration};

use clap::Args;
use vnet_common::{Effect, Reason};

use super::{
    open,
    output::{self, Format},
};
use crate::{
    control::{Dirs, stats::UplinkStats},
    model::Traffic,
};

#[derive(Debug, Args)]
#[command(after_help = "Example: vnet-user stats --watch")]
pub struct StatsArgs {
    /// One NIC only.
    #[arg(long)]
    iface: Option<String>,
    /// Go on, each time with what came since, until Ctrl-C; by default every second.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "1", value_parser = interval)]
    watch: Option<Duration>,
    #[command(flatten)]
    format: Format,
}

/// The seconds between two looks.
fn interval(text: &str) -> Result<Duration, &'static str> {
    let seconds = text
        .parse()
        .ok()
        .filter(|seconds| (0.1..=3600.0).contains(seconds));
    seconds
        .map(Duration::from_secs_f64)
        .ok_or("a number of seconds from 0.1 to 3600 was expected")
}

impl StatsArgs {
    pub async fn run(self, dirs: &Dirs) -> anyhow::Result<()> {
        let Self {
            iface,
            watch,
            format,
        } = self;
        let look = async || {
            open(dirs)
                .await?
                .stats(iface.as_deref())
                .await
                .map_err(anyhow::Error::from)
        };
        let mut earlier = look().await?;
        let Some(interval) = watch else {
            return print(&earlier, format);
        };
        let mut ticks = tokio::time::interval(interval);
        ticks.tick().await;
        loop {
            ticks.tick().await;
            let now = look().await?;
            print(&since(&now, &earlier), format)?;
            earlier = now;
        }
    }
}

/// What came since an earlier look. What was not there then counts from zero.
fn since(now: &[UplinkStats], earlier: &[UplinkStats]) -> Vec<UplinkStats> {
    let mut now = now.to_vec();
    for uplink in &mut now {
        let Some(then) = earlier.iter().find(|then| then.name == uplink.name) else {
            continue;
        };
        for segment in &mut uplink.segments {
            let before = then.segments.iter().find(|s| s.segment == segment.segment);
            let before = before.map_or_else(Traffic::default, |before| before.traffic);
            segment.traffic = segment.traffic.since(before);
        }
        for endpoint in &mut uplink.endpoints {
            if let Some(before) = then.endpoints.iter().find(|e| e.id == endpoint.id) {
                endpoint.traffic = endpoint.traffic.since(before.traffic);
                endpoint.lost = endpoint.lost.saturating_sub(before.lost);
            }
        }
        for (reason, count) in &mut uplink.reasons {
            *count = count.saturating_sub(then.reasons.get(reason).copied().unwrap_or(0));
        }
        uplink.lost.uplink = uplink.lost.uplink.saturating_sub(then.lost.uplink);
        uplink.lost.softnet = uplink.lost.softnet.saturating_sub(then.lost.softnet);
    }
    now
}

fn print(uplinks: &[UplinkStats], format: Format) -> anyhow::Result<()> {
    if format.json {
        return output::json(&uplinks);
    }
    if uplinks.is_empty() {
        println!("nothing is attached: `vnet-user attach --iface <NIC>` does that");
    }
    for uplink in uplinks {
        println!("{}\n", uplink.name);
        print_traffic(uplink);
        println!();
        print_reasons(&uplink.reasons);
        let by_links: u64 = uplink.endpoints.iter().map(|endpoint| endpoint.lost).sum();
        println!(
            "\nlost behind vnet: {} by {}, {by_links} by the endpoints' links; {} by full backlogs of the host\n",
            uplink.lost.uplink, uplink.name, uplink.lost.softnet
        );
    }
    Ok(())
}

/// A row for each segment, and below it one for each of its endpoints. `rx` is towards the containers.
fn print_traffic(uplink: &UplinkStats) {
    let mut rows = Vec::new();
    for segment in &uplink.segments {
        let networks = output::list(&segment.networks);
        rows.push(row(
            segment.segment.to_string(),
            networks,
            segment.traffic,
            None,
        ));
        let endpoints = uplink.endpoints.iter();
        for endpoint in endpoints.filter(|endpoint| endpoint.segment == segment.segment) {
            let name = format!("  {}", endpoint.id);
            let lost = Some(endpoint.lost);
            rows.push(row(name, endpoint.network.clone(), endpoint.traffic, lost));
        }
    }
    let header = [
        "SEGMENT",
        "NETWORK",
        "RX FRAMES",
        "RX BYTES",
        "TX FRAMES",
        "TX BYTES",
        "LOST",
    ];
    output::table(&header, rows);
}

fn row(name: String, network: String, traffic: Traffic, lost: Option<u64>) -> Vec<String> {
    let Traffic {
        rx_packets,
        rx_bytes,
        tx_packets,
        tx_bytes,
    } = traffic;
    vec![
        name,
        network,
        rx_packets.to_string(),
        output::bytes(rx_bytes),
        tx_packets.to_string(),
        output::bytes(tx_bytes),
        lost.map_or_else(String::new, |lost| lost.to_string()),
    ]
}

/// The reasons that count something, and what became of those frames.
pub fn print_reasons(reasons: &BTreeMap<&'static str, u64>) {
    let counted = Reason::ALL.iter().filter_map(|reason| {
        let count = *reasons.get(reason.name())?;
        let effect = match reason.effect() {
            Effect::HandedOn => "handed on",
            Effect::Dropped => "dropped",
        };
        let row = [reason.name(), effect, &count.to_string()].map(str::to_owned);
        (count > 0).then(|| row.to_vec())
    });
    output::table(&["REASON", "EFFECT", "FRAMES"], counted);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals() {
        assert_eq!(interval("0.5"), Ok(Duration::from_millis(500)));
        for bad in ["0", "-1", "nan", "1e9", "soon"] {
            assert!(interval(bad).is_err(), "{bad}");
        }
    }
}
