//! `cargo xtask bench`: measures the tables and prints them.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use bench::file;
use bench::generator::Generator;
use bench::goals::{AllHeld, Tables};
use bench::machine::Machine;
use bench::plot;
use bench::receiver::{self, Programs};
use bench::tables::{self, Bench, Effort, Measurement};
use capture_daemon::config::Follow;
use clap::Parser;
use serde_json::{Map, Value, json};
use tikv_jemallocator::Jemalloc;
use xtask::lab::{Need, interrupt};

/// As in siphon, whose engine some tables run here.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

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
    /// In the table mirror, loads of so many streams only.
    #[arg(long, value_name = "NUMBER", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..))]
    streams: Vec<u32>,
    /// Write machine, tables and goals to this file, and pictures beside it.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    part: Part,
}

/// What this program is instead, in a process of its own, when the bench needs it.
#[derive(Debug, clap::Args)]
struct Part {
    /// The bare AF_XDP loop on this interface, until stdin ends.
    #[arg(long, value_name = "INTERFACE", hide = true)]
    receive: Option<String>,
    /// The program that drops everything on this interface, until stdin ends.
    #[arg(long, value_name = "INTERFACE", hide = true)]
    discard: Option<String>,
    /// The kernel programs on the interface `tap`, run so many times each.
    #[arg(long, value_name = "RUNS", hide = true)]
    cost: Option<u32>,
    /// The bare scan of this file.
    #[arg(long, value_name = "FILE", hide = true)]
    scan: Option<PathBuf>,
    /// An engine under so many INVITEs until its memory is looked at first, and in all.
    #[arg(long, num_args = 2, value_names = ["FIRST", "ALL"], hide = true)]
    flood: Option<Vec<u32>>,
    /// The engine and the floor, as often as this says.
    #[arg(long, value_name = "JSON", hide = true)]
    engine: Option<String>,
    /// The engine by the number of streams and of new calls.
    #[arg(long, value_name = "JSON", hide = true)]
    growth: Option<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match &arguments.part {
        Part {
            receive: Some(interface),
            ..
        } => receiver::serve(interface),
        Part {
            discard: Some(interface),
            ..
        } => receiver::discard(interface),
        Part { cost: Some(runs), .. } => print(|| tables::cost(*runs)),
        Part { scan: Some(file), .. } => file::scan(file).map(|scanned| println!("{scanned:?}")),
        Part {
            flood: Some(counts), ..
        } => print(|| match counts[..] {
            [first, all] => tables::flood(&Follow::default(), first, all),
            _ => bail!("two counts"),
        }),
        Part {
            engine: Some(often), ..
        } => print(|| tables::engine(serde_json::from_str(often)?)),
        Part {
            growth: Some(often), ..
        } => print(|| tables::growth(serde_json::from_str(often)?)),
        Part { .. } => measure(&arguments),
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

fn print<T: serde::Serialize>(part: impl FnOnce() -> Result<T>) -> Result<()> {
    println!("{}", serde_json::to_string(&part()?)?);
    Ok(())
}

fn measure(arguments: &Arguments) -> Result<()> {
    let chosen = chosen(&arguments.tables)?;
    ensure!(
        arguments.streams.is_empty() || chosen.iter().any(|table| table.name == "mirror"),
        "--streams is for the table mirror, which was not asked for"
    );
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
    let own = env::current_exe().context("where this program lies")?;
    let siphon = own.with_file_name("siphon");
    if !siphon.is_file() {
        bail!("{} is not there: `cargo xtask bench` builds it", siphon.display());
    }
    let mut bench = Bench {
        generator: Generator::load(&xtask::ebpf::object("load")?)?,
        programs: Programs {
            siphon: &siphon,
            bench: &own,
        },
        effort: if arguments.quick { Effort::QUICK } else { Effort::FULL },
        streams: arguments.streams.clone(),
        cache: own.with_file_name("bench-files"),
    };
    println!("{machine}");
    let mut tables = Tables::new();
    for table in &chosen {
        // One that fails takes no figure from the others, and is no figure itself.
        let measured = (table.measure)(&mut bench).map_err(|error| {
            interrupt::wait_if_interrupted();
            format!("{error:#}")
        });
        match &measured {
            Ok(table) => println!("{table}"),
            Err(error) => println!("{}: not measured: {error}\n", table.name),
        }
        tables.insert(table.name, measured);
        if let Some(file) = &arguments.json {
            keep(file, &machine, &tables)?;
        }
    }
    println!("{}", AllHeld::against(&tables));
    let failed: Vec<&str> = tables
        .iter()
        .filter(|(_, table)| table.is_err())
        .map(|(name, _)| *name)
        .collect();
    ensure!(failed.is_empty(), "not measured: {}", failed.join(", "));
    Ok(())
}

/// Writes what there is so far, and the pictures of it: `FILE-NAME.svg` beside `FILE.json`.
fn keep(file: &Path, machine: &Machine, tables: &Tables) -> Result<()> {
    let write = |path: &Path, text: String| fs::write(path, text).with_context(|| format!("write {}", path.display()));
    write(file, format!("{:#}\n", document(machine, tables)?))?;
    let stem = file
        .file_stem()
        .context("a file without a name")?
        .to_string_lossy()
        .into_owned();
    for table in tables.values().flatten() {
        for (name, chart) in plot::of_table(table) {
            write(&file.with_file_name(format!("{stem}-{name}.svg")), chart.svg())?;
        }
    }
    Ok(())
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

/// What `--json` writes: `{"machine": {…}, "tables": {NAME: …}, "goals": […]}`.
fn document(machine: &Machine, tables: &Tables) -> Result<Value> {
    let measured: Map<String, Value> = tables
        .iter()
        .map(|(name, table)| {
            let value = match table {
                Ok(table) => table.json(),
                Err(error) => json!({"error": error}),
            };
            ((*name).to_owned(), value)
        })
        .collect();
    Ok(json!({
        "machine": serde_json::to_value(machine)?,
        "tables": measured,
        "goals": AllHeld::against(tables).json(),
    }))
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
