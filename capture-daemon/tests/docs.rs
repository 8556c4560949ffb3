//! The documentation against the program: what it lists is what there is, and every command line in it is one.

#![expect(
    clippy::unwrap_used,
    reason = "a test that unwraps fails with the line that was wrong"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use capture_common::Verdict;
use capture_daemon::cli::{Cli, Form, Style, call};
use capture_daemon::config::{Config, default_file};
use capture_daemon::control::{Ask, Filter, parse};
use capture_daemon::metrics::{GLOSSARY, Kind};
use capture_daemon::outcome::{Loss, Outcome};
use capture_daemon::replay::replay;
use capture_daemon::report::CallFlow;
use capture_daemon::spool::SpoolDrop;
use clap::Parser as _;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn page(name: &str) -> String {
    std::fs::read_to_string(root().join("docs").join(name)).unwrap()
}

/// Holds the part of a page between its two marks against what it should be. `SIPHON_BLESS=1` writes it instead.
fn assert_generated(name: &str, generated: &str) {
    let text = page(name);
    let (before, rest) = text.split_once("<!-- generated -->\n").unwrap();
    let (part, after) = rest.split_once("<!-- end -->\n").unwrap();
    if std::env::var_os("SIPHON_BLESS").is_some() {
        let text = format!("{before}<!-- generated -->\n{generated}<!-- end -->\n{after}");
        std::fs::write(root().join("docs").join(name), text).unwrap();
    } else {
        let differs = |(is, should): &(&str, &str)| is != should;
        let different = part.lines().zip(generated.lines()).find(differs);
        assert!(
            part == generated,
            "docs/{name}; SIPHON_BLESS=1 writes it anew: {different:?}"
        );
    }
}

#[test]
fn the_configuration_page_has_the_default_file() {
    assert_generated("configuration.md", &format!("```toml\n{}```\n", default_file()));
}

#[test]
fn the_page_on_calls_shows_one_as_it_looks() {
    let file = root().join("capture-daemon/tests/captures/kamailio.pcap");
    let document = replay(&[file], &Config::default()).document;
    let flow = CallFlow::of(&document, "3-22313@192.0.2.1");
    let shown = call(&flow, Form::default(), Style::PLAIN);
    assert_generated("call.md", &format!("```text\n{shown}```\n"));
}

#[test]
fn the_accounting_page_names_every_place_of_a_frame() {
    let mut text = String::new();
    let mut table = |title: &str, head: &str, rows: &mut dyn Iterator<Item = String>| {
        text.push_str(&format!("### {title}\n\n{head}\n"));
        rows.for_each(|row| text.push_str(&row));
        text.push('\n');
    };
    let plain = "| name | meaning |\n|---|---|";
    let row = |label: &str, meaning: &str| format!("| `{label}` | {} |\n", meaning.trim());
    table(
        "Program: verdicts",
        "| name | fate | meaning |\n|---|---|---|",
        &mut Verdict::ALL.iter().map(|verdict| {
            let (label, fate) = (verdict.label(), verdict.fate().label());
            format!("| `{label}` | {fate} | {} |\n", verdict.meaning().trim())
        }),
    );
    table(
        "Engine: outcomes",
        plain,
        &mut Outcome::ALL
            .iter()
            .map(|outcome| row(outcome.label(), outcome.meaning())),
    );
    table(
        "Engine and reassembly: what could not be followed",
        plain,
        &mut Loss::ALL.iter().map(|loss| row(loss.label(), loss.meaning())),
    );
    table(
        "Spool: reasons",
        plain,
        &mut SpoolDrop::ALL
            .iter()
            .map(|reason| row(reason.label(), reason.meaning())),
    );
    assert_generated("accounting.md", &text);
}

#[test]
fn alerts_ask_for_metrics_that_there_are() {
    let rules = std::fs::read_to_string(root().join("packaging/prometheus/siphon.rules.yml")).unwrap();
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    let expressions = rules.lines().filter_map(|line| line.trim().strip_prefix("expr: "));
    let asked: Vec<&str> = expressions
        .flat_map(|expression| expression.split(word))
        .filter(|name| name.starts_with("siphon_"))
        .collect();
    assert!(asked.len() > 8, "{asked:?}");
    for name in asked {
        assert!(GLOSSARY.iter().any(|metric| metric.name == name), "{name}");
    }
}

#[test]
fn the_alerts_fire_when_they_should() {
    let folder = root().join("packaging/prometheus");
    let Ok(output) = Command::new("promtool")
        .args(["test", "rules", "siphon.rules.test.yml"])
        .current_dir(folder)
        .output()
    else {
        assert!(
            std::env::var_os("SIPHON_REQUIRE").is_none_or(|value| value != "1"),
            "promtool (Debian package prometheus) is not installed"
        );
        println!("SKIPPED the_alerts_fire_when_they_should: promtool (Debian package prometheus) is not installed");
        return;
    };
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.contains("SUCCESS"), "{said}");
}

#[test]
fn the_metrics_page_has_the_glossary() {
    let mut table = "| metric | kind | labels | meaning |\n|---|---|---|---|\n".to_owned();
    for metric in GLOSSARY {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        table.push_str(&format!(
            "| `{}` | {} | {} | {} |\n",
            metric.name,
            metric.kind.label(),
            labels.join(", "),
            metric.help
        ));
    }
    assert_generated("metrics.md", &table);
}

#[test]
fn every_metric_the_page_speaks_of_is_one() {
    let page = page("metrics.md");
    let (before, _) = page.split_once("<!-- generated -->\n").unwrap();
    let words = before.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let mut spoken_of = 0;
    for word in words.filter(|word| word.starts_with("siphon_")) {
        let base = word.strip_suffix("_bucket").unwrap_or(word);
        let kind = GLOSSARY
            .iter()
            .find(|metric| metric.name == base)
            .map(|metric| metric.kind);
        assert!(
            kind.is_some_and(|kind| base == word || kind == Kind::Histogram),
            "{word}"
        );
        spoken_of += 1;
    }
    assert!(spoken_of >= 10, "only {spoken_of} metrics were found");
}

/// Pages of the project that tell a reader what to type.
fn pages() -> Vec<PathBuf> {
    let mut pages: Vec<PathBuf> = std::fs::read_dir(root().join("docs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    pages.extend([root().join("README.md")].into_iter().filter(|page| page.exists()));
    pages
}

/// Command lines of a page: lines of indented or fenced code that begin with `siphon`, perhaps after a prompt or sudo.
fn commands(text: &str) -> Vec<String> {
    let mut fenced = false;
    let mut commands = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if fenced || line.starts_with("    ") {
            let command = line.trim().trim_start_matches("$ ").trim_start_matches("# ");
            let command = command.strip_prefix("sudo ").unwrap_or(command);
            let ends = command.find(['#', '|', '>', ';', '&']).unwrap_or(command.len());
            let command = command.get(..ends).unwrap_or(command).trim();
            if command.starts_with("siphon ") && !command.contains('…') {
                commands.push(command.to_owned());
            }
        }
    }
    commands
}

/// The words of a command line, of which those in single quotes are taken as they are.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for (at, part) in command.split('\'').enumerate() {
        if at % 2 == 1 {
            words.last_mut().unwrap().push_str(part);
            continue;
        }
        for letter in part.chars() {
            match letter {
                ' ' if words.last().unwrap().is_empty() => {}
                ' ' => words.push(String::new()),
                letter => words.last_mut().unwrap().push(letter),
            }
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn every_command_line_in_the_pages_is_one() {
    let mut read = 0;
    for page in pages() {
        for command in commands(&std::fs::read_to_string(&page).unwrap()) {
            let parsed = Cli::try_parse_from(words(&command));
            assert!(parsed.is_ok(), "{}: {command}: {}", page.display(), parsed.unwrap_err());
            read += 1;
        }
    }
    assert!(read >= 10, "only {read} command lines were found");
}

#[test]
fn every_request_in_the_control_page_is_one() {
    let page = page("control.md");
    let requests: Vec<&str> = page
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("{\"v\":1,") && !line.contains("\"ok\""))
        .collect();
    for request in &requests {
        let parsed = parse(request.as_bytes());
        assert!(parsed.ask.is_ok(), "{request}: {parsed:?}");
    }
    let all = Filter::default;
    for ask in [
        Ask::Health,
        Ask::Status,
        Ask::Signaling,
        Ask::Calls(all()),
        Ask::Call(String::new()),
        Ask::Streams(all()),
        Ask::Registrations(all()),
        Ask::Turn(all()),
        Ask::Rules,
        Ask::Stop,
        Ask::Version,
    ] {
        let name = format!("\"ask\":\"{}\"", ask.label());
        assert!(
            requests.iter().any(|request| request.contains(&name)),
            "{name} is not shown"
        );
    }
    for name in ["rule_add", "rule_change", "rule_remove"] {
        let name = format!("\"ask\":\"{name}\"");
        assert!(requests.iter().any(|request| request.contains(&name)), "{name}");
    }
}
