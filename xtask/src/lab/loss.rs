//! Packets that nftables drops, every so many of them, on one side of the mirror port, and how many they were.

use std::io::Write;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::mirror::WIRE;
use super::netns::Netns;
use super::process::Process;

/// Where on its way a packet is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// When the host sends it, so that it never comes to the mirror port.
    BeforeMirror,
    /// When the host receives it: it has been mirrored.
    AfterMirror,
}

/// What has come to the rule so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Packets that matched.
    pub matched: u64,
    /// Of these, dropped.
    pub dropped: u64,
}

impl Figures {
    /// The dropped packets that have one behind them which was not dropped. Of two packets in a row at most one is dropped, and
    /// the first never is; so the last packet alone can be one whose loss no receiver can tell from the end of the
    /// stream.
    #[must_use]
    pub const fn dropped_within(self, every: u64) -> u64 {
        let last_one_dropped = self.matched > 0 && self.matched.is_multiple_of(every);
        self.dropped - last_one_dropped as u64
    }
}

/// A rule on a host's [`WIRE`]. It goes with the namespace.
#[derive(Debug)]
pub struct Loss<'a> {
    host: &'a Netns,
    table: String,
}

impl<'a> Loss<'a> {
    /// Of the packets that match, in the words of nft(8), drops the last of each `every`: the first ones pass. `name` tells
    /// the rules of a host apart.
    ///
    /// # Errors
    /// When nft fails, with what it wrote.
    pub fn start(host: &'a Netns, name: &str, place: Place, matches: &str, every: u32) -> Result<Self> {
        let table = format!("loss_{name}");
        let hook = match place {
            Place::BeforeMirror => "egress",
            Place::AfterMirror => "ingress",
        };
        let last = every.checked_sub(1).context("every how many?")?;
        let rules = format!(
            "table netdev {table} {{\n\
             counter matched {{}}\n\
             counter dropped {{}}\n\
             chain wire {{\n\
             type filter hook {hook} device \"{WIRE}\" priority 0\n\
             {matches} counter name matched numgen inc mod {every} {last} counter name dropped drop\n\
             }}\n\
             }}\n"
        );
        let mut command = host.command("nft");
        command.args(["-f", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut nft = Process::spawn(&mut command)?;
        let mut stdin = nft.child().stdin.take().context("nft has no stdin")?;
        stdin.write_all(rules.as_bytes()).context("write to nft")?;
        drop(stdin);
        let mut said = String::new();
        if let Some(stderr) = nft.child().stderr.as_mut() {
            std::io::Read::read_to_string(stderr, &mut said)?;
        }
        let status = nft.child().wait()?;
        if !status.success() {
            bail!("nft: {status}: {}\n{rules}", said.trim());
        }
        Ok(Self { host, table })
    }

    /// What has come to the rule so far.
    ///
    /// # Errors
    /// When nft fails, or prints no such counters.
    pub fn figures(&self) -> Result<Figures> {
        let text = self.host.exec(&format!("nft -j list table netdev {}", self.table))?;
        figures(&text).with_context(|| format!("read `nft -j`: {text}"))
    }
}

/// The counters in what `nft -j` prints (libnftables-json(5)).
fn figures(text: &str) -> Result<Figures> {
    let parsed: Value = serde_json::from_str(text)?;
    let objects = parsed["nftables"].as_array().context("no list")?;
    let counter = |name: &str| {
        let counters = objects.iter().map(|object| &object["counter"]);
        counters
            .filter(|counter| counter["name"] == name)
            .find_map(|counter| counter["packets"].as_u64())
            .with_context(|| format!("no counter {name}"))
    };
    Ok(Figures {
        matched: counter("matched")?,
        dropped: counter("dropped")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counters_are_found_by_name() {
        let text = r#"{"nftables": [{"metainfo": {"json_schema_version": 1}}, {"table": {"name": "loss_pcma"}},
            {"counter": {"name": "matched", "packets": 41, "bytes": 1}},
            {"counter": {"name": "dropped", "packets": 2, "bytes": 1}}]}"#;
        let expected = Figures {
            matched: 41,
            dropped: 2,
        };
        assert_eq!(figures(text).unwrap(), expected);
        assert!(figures(&text.replace("dropped", "other")).is_err());
    }

    #[test]
    fn a_drop_at_the_very_end_is_not_within() {
        let within = |matched, dropped| Figures { matched, dropped }.dropped_within(20);
        assert_eq!([within(0, 0), within(19, 0), within(39, 1)], [0, 0, 1]);
        assert_eq!([within(20, 1), within(40, 2), within(41, 2)], [0, 1, 2]);
    }
}
