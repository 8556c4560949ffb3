//! A real Prometheus that scrapes a real exporter, and promtool's opinion of what is exported.

use std::fs::File;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::http;
use super::netns::Netns;
use super::process::{Process, wait_for};
use super::scratch::Scratch;

/// Where Prometheus listens, inside the namespace.
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);

/// How long it may take to be ready: it replays its journal first, which is empty here.
const LIMIT: Duration = Duration::from_secs(30);

/// A running Prometheus that scrapes one target every second.
#[derive(Debug)]
pub struct Prometheus<'a> {
    netns: &'a Netns,
    process: Process,
    log: PathBuf,
    /// Its database; goes after the process.
    _scratch: Scratch,
}

impl<'a> Prometheus<'a> {
    /// Starts Prometheus inside a namespace, with `target` as the job `siphon`, and returns once it answers.
    ///
    /// # Errors
    /// When it is not installed or does not come up; the error carries what it logged.
    pub fn start(netns: &'a Netns, target: SocketAddr) -> Result<Self> {
        let scratch = Scratch::new("prometheus")?;
        let config = scratch.write(
            "prometheus.yml",
            format!(
                "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
                 scrape_configs:\n  - job_name: siphon\n    static_configs: [{{targets: ['{target}']}}]\n"
            ),
        )?;
        let log = scratch.path().join("log");
        let stderr = File::create(&log).with_context(|| format!("make {}", log.display()))?;
        let mut command = netns.command("prometheus");
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", scratch.path().join("data").display()))
            .arg(format!("--web.listen-address={LISTEN}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr);
        let mut prometheus = Self {
            netns,
            process: Process::spawn(&mut command)?,
            log,
            _scratch: scratch,
        };
        wait_for("Prometheus to be ready", LIMIT, || {
            if !prometheus.process.is_running()? {
                bail!("Prometheus ended: {}", prometheus.logged());
            }
            // Until it listens and has loaded its database the request fails.
            Ok(http::get(netns, LISTEN, "/-/ready").ok())
        })?;
        Ok(prometheus)
    }

    /// The value of an instant query that has exactly one result; `None` while it has none.
    ///
    /// # Errors
    /// When Prometheus does not answer, refuses the query, or has several results.
    pub fn value(&self, query: &str) -> Result<Option<f64>> {
        let path = format!("/api/v1/query?query={}", http::escape(query));
        let text = http::get(self.netns, LISTEN, &path)?;
        value(&text).with_context(|| format!("Prometheus, {query}: {text}"))
    }

    /// Waits until a query has the value that `wanted` accepts, and returns it.
    ///
    /// # Errors
    /// When it does not come within 30 seconds.
    pub fn wait_for_value(&self, query: &str, wanted: impl Fn(f64) -> bool) -> Result<f64> {
        wait_for(&format!("Prometheus: {query}"), LIMIT, || {
            Ok(self.value(query)?.filter(|value| wanted(*value)))
        })
    }

    fn logged(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

/// Reads the answer of `/api/v1/query`.
fn value(answer: &str) -> Result<Option<f64>> {
    let parsed: Value = serde_json::from_str(answer)?;
    let results = parsed["data"]["result"].as_array().context("no result")?;
    match results.as_slice() {
        [] => Ok(None),
        // A sample is a time and a value, the latter as text.
        [one] => Ok(Some(one["value"][1].as_str().context("no value")?.parse()?)),
        several => bail!("{} results", several.len()),
    }
}

/// Has promtool check a text of metrics.
///
/// # Errors
/// When promtool is not installed, or has anything to say; the error carries it.
pub fn check_metrics(text: &str) -> Result<()> {
    let mut child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("start promtool")?;
    let mut stdin = child.stdin.take().context("promtool has no stdin")?;
    stdin.write_all(text.as_bytes()).context("write to promtool")?;
    drop(stdin);
    let output = child.wait_with_output()?;
    let said = [output.stdout, output.stderr].concat();
    if !output.status.success() || !said.is_empty() {
        bail!("promtool check metrics: {}", String::from_utf8_lossy(&said).trim());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_one_value_or_none() {
        let answer =
            |result: &str| format!(r#"{{"status":"success","data":{{"resultType":"vector","result":{result}}}}}"#);
        assert_eq!(value(&answer("[]")).unwrap(), None);
        let one = r#"{"metric":{},"value":[1795255200.1,"42"]}"#;
        assert_eq!(value(&answer(&format!("[{one}]"))).unwrap(), Some(42.0));
        assert!(value(&answer(&format!("[{one},{one}]"))).is_err());
    }
}
