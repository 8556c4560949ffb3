//! `cargo xtask bench`: measures the tables and prints them.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use bench::generator::Generator;
use bench::machine::Machine;
use bench::receiver::{self, Programs};
use bench::table::Table;
use bench::tables::{self, Bench, Effort, Measurement};
use clap::Parser;
use serde_json::{Map, Value, json};
use xtask::lab::{Need, interrupt};

/// Benchmarks of siphon. Needs root, two CPUs and a machine that has nothing else to do.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench", after_help = list())]
struct Arguments {
    /// Tables to measure; all if none is named.
    #[arg(value_name = "TABLE")]
    tables: Vec<String>,
    /// One short round: whether it works, not how fast it is.
    #[arg(long)]
    quick: bool,
    /// Write machine and tables to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Be the bare AF_XDP loop on this interface instead, until stdin ends.
    #[arg(long, value_name = "INTERFACE", hide = true)]
    receive: Option<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match &arguments.receive {
        Some(interface) => receiver::serve(interface),
        None => measure(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            interrupt::wait_if_interrupted();
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &Arguments) -> Result<()> {
    let chosen = chosen(&arguments.tables)?;
    let needs = [
        Need::Root,
        Need::Program("ip"),
        Need::Program("ethtool"),
        Need::Program("tcpdump"),
    ];
    if let Some(reason) = needs.iter().find_map(|need| need.missing()) {
        bail!("the bench {reason}");
    }
    interrupt::clean_up_on_signals()?;
    let machine = Machine::look(&env::temp_dir())?;
    let bench = env::current_exe().context("where this program lies")?;
    let siphon = bench.with_file_name("siphon");
    if !siphon.is_file() {
        bail!("{} is not there: `cargo xtask bench` builds it", siphon.display());
    }
    let mut bench = Bench {
        generator: Generator::load(&xtask::ebpf::object("load")?)?,
        programs: Programs {
            siphon: &siphon,
            bench: &bench,
        },
        effort: if arguments.quick { Effort::QUICK } else { Effort::FULL },
    };
    let tables: Vec<Table> = chosen
        .iter()
        .map(|table| (table.measure)(&mut bench).with_context(|| format!("table `{}`", table.name)))
        .collect::<Result<_>>()?;
    println!("{machine}");
    for table in &tables {
        println!("{table}");
    }
    match &arguments.json {
        Some(file) => fs::write(file, format!("{:#}\n", document(&machine, &tables)?))
            .with_context(|| format!("write {}", file.display())),
        None => Ok(()),
    }
}

/// The tables asked for, each once and in their own order.
fn chosen(names: &[String]) -> Result<Vec<&'static Measurement>> {
    if let Some(unknown) = names
        .iter()
        .find(|name| tables::ALL.iter().all(|table| table.name != **name))
    {
        bail!("there is no table `{unknown}`\n{}", list());
    }
    let is_chosen = |table: &&Measurement| names.is_empty() || names.iter().any(|name| name == table.name);
    Ok(tables::ALL.iter().filter(is_chosen).collect())
}

fn list() -> String {
    let lines = tables::ALL
        .iter()
        .map(|table| format!("\n  {:<10} {}", table.name, table.about));
    format!("Tables:{}", lines.collect::<String>())
}

/// What `--json` writes: `{"machine": {…}, "tables": {NAME: …}}`.
fn document(machine: &Machine, tables: &[Table]) -> Result<Value> {
    let tables: Map<String, Value> = tables
        .iter()
        .map(|table| (table.name.to_owned(), table.json()))
        .collect();
    Ok(json!({"machine": serde_json::to_value(machine)?, "tables": tables}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_chosen_by_name() {
        assert_eq!(chosen(&[]).unwrap().len(), tables::ALL.len());
        let mirror = || "mirror".to_owned();
        assert_eq!(chosen(&[mirror(), mirror()]).unwrap().len(), 1);
        let error = chosen(&[mirror(), "none".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("`none`") && error.contains("mirror"), "{error}");
    }

    #[test]
    fn every_table_has_a_name_of_its_own() {
        for (index, table) in tables::ALL.iter().enumerate() {
            assert!(tables::ALL.iter().skip(index + 1).all(|other| other.name != table.name));
        }
    }
}
