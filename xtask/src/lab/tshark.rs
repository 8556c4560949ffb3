//! A second opinion: what tshark reads in capture files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::process::run;
use super::scratch::Scratch;

/// Between the fields of a line, and between the values of a field.
const FIELD: char = '\t';
const VALUE: char = '|';

/// What tshark reads in some files taken together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// Frames in the files.
    pub frames: u64,
    /// SIP requests by method.
    pub requests: BTreeMap<String, u64>,
    /// SIP responses by status code.
    pub responses: BTreeMap<u16, u64>,
    /// Calls by Call-ID: those with an INVITE.
    pub calls: BTreeMap<String, Call>,
    /// RTP streams, in order of addresses and SSRC.
    pub streams: Vec<Stream>,
}

impl Reading {
    /// SIP messages, requests and responses.
    pub fn messages(&self) -> u64 {
        self.requests.values().sum::<u64>() + self.responses.values().sum::<u64>()
    }
}

/// One call by its messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// Status code of the latest final response to an INVITE.
    pub final_status: Option<u16>,
    /// Whether there was a BYE.
    pub bye: bool,
    /// Messages with this Call-ID.
    pub messages: u64,
}

/// One line of tshark's table of RTP streams.
#[derive(Clone, Debug, PartialEq)]
pub struct Stream {
    /// Source, `address:port`.
    pub src: String,
    /// Destination.
    pub dst: String,
    /// Synchronisation source.
    pub ssrc: u32,
    /// Packets received.
    pub packets: u64,
    /// Expected minus received: negative where there are duplicates.
    pub lost: i64,
    /// Mean of the RFC 3550 jitter in milliseconds.
    pub jitter_mean_ms: f64,
    /// Its maximum.
    pub jitter_max_ms: f64,
}

/// A SIP message, with its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Nanoseconds since 1970.
    pub time: u64,
    /// IPv4 address it came from.
    pub src: String,
    /// IPv4 address it went to.
    pub dst: String,
    /// Method of a request.
    pub method: Option<String>,
    /// Status code of a response.
    pub status: Option<u16>,
    /// What the CSeq says it is about.
    pub about: String,
    /// Call-ID.
    pub call_id: String,
}

/// The SIP messages of a file over IPv4, one to a frame, in order.
///
/// # Errors
/// When tshark fails, or prints what is not understood here, as for a frame with several messages.
pub fn messages(file: &Path) -> Result<Vec<Message>> {
    let mut arguments = vec!["-Y", "sip", "-T", "fields"];
    for field in [
        "frame.time_epoch",
        "ip.src",
        "ip.dst",
        "sip.Method",
        "sip.Status-Code",
        "sip.CSeq.method",
        "sip.Call-ID",
    ] {
        arguments.extend(["-e", field]);
    }
    let text = tshark(file, &ONE_CLOCK, &arguments)?;
    let line = |line: &str| timed(line).with_context(|| format!("tshark, {line:?}"));
    text.lines().map(line).collect()
}

/// STUN error responses of a file by code (RFC 8489 section 14.8), TURN's among them.
///
/// # Errors
/// When tshark fails, or prints what is not understood here.
pub fn stun_errors(file: &Path) -> Result<BTreeMap<u16, u64>> {
    let filter = ["-Y", "stun.att.error", "-T", "fields"];
    let fields = ["-e", "stun.att.error.class", "-e", "stun.att.error"];
    let mut errors = BTreeMap::new();
    for line in tshark(file, &ONE_CLOCK, &[filter, fields].concat())?.lines() {
        *errors.entry(stun_error(line)?).or_default() += 1;
    }
    Ok(errors)
}

/// The class is the hundreds.
fn stun_error(line: &str) -> Result<u16> {
    let (class, number) = line.split_once(FIELD).context("no class")?;
    Ok(class.parse::<u16>()? * 100 + number.parse::<u16>()?)
}

fn timed(line: &str) -> Result<Message> {
    let fields: Vec<&str> = line.split(FIELD).collect();
    let [time, src, dst, method, status, about, call_id] = fields[..] else {
        bail!("{} fields", fields.len());
    };
    let (seconds, nanoseconds) = time.split_once('.').context("no fraction of a second")?;
    if nanoseconds.len() != 9 {
        bail!("no nanoseconds");
    }
    let text = |field: &str| Some(field.to_owned()).filter(|field| !field.is_empty());
    Ok(Message {
        time: seconds.parse::<u64>()? * 1_000_000_000 + nanoseconds.parse::<u64>()?,
        src: src.to_owned(),
        dst: dst.to_owned(),
        method: text(method),
        status: text(status).map(|status| status.parse()).transpose()?,
        about: about.to_owned(),
        call_id: call_id.to_owned(),
    })
}

/// Reads files, merged by their timestamps where there are several: each lane writes its own, and media is only known as
/// such after its SDP.
///
/// # Errors
/// When mergecap or tshark fails, or prints what is not understood here.
pub fn read(files: &[PathBuf]) -> Result<Reading> {
    let scratch = Scratch::new("tshark")?;
    let file = match files {
        [] => bail!("no file to read"),
        [one] => one.clone(),
        many => {
            let merged = scratch.path().join("merged.pcapng");
            run(Command::new("mergecap").arg("-w").arg(&merged).args(many))?;
            merged
        }
    };
    all(&file, &SEVERAL_CLOCKS)
}

/// Reads one file whose frames one clock has stamped. Segments are put in order, their copies are left out, and RTP is
/// also read where no SDP announced it.
///
/// # Errors
/// When tshark fails, or prints what is not understood here.
pub fn read_one(file: &Path) -> Result<Reading> {
    all(file, &ONE_CLOCK)
}

fn all(file: &Path, options: &[&str]) -> Result<Reading> {
    let mut reading = sip(file, options)?;
    reading.streams = streams(&tshark(file, options, &["-q", "-z", "rtp,streams"])?)?;
    Ok(reading)
}

/// Sequence numbers are not analysed: two queues stamp their frames independently, so that an acknowledgement may be
/// stamped a microsecond before the segment it answers, and tshark would take the segment for a spurious retransmission
/// and not read the message in it.
const SEVERAL_CLOCKS: [&str; 2] = ["-o", "tcp.analyze_sequence_numbers:FALSE"];

const ONE_CLOCK: [&str; 4] = [
    "-o",
    "tcp.reassemble_out_of_order:TRUE",
    "--enable-heuristic",
    "rtp_udp",
];

/// Two passes, so that nothing depends on what comes first; 5061 is SIP here and not SIP over TLS; names and hardware
/// addresses stay numbers.
fn tshark(file: &Path, options: &[&str], arguments: &[&str]) -> Result<String> {
    run(Command::new("tshark")
        .args(["-n", "-2", "-d", "udp.port==5061,sip", "-d", "tcp.port==5060,sip"])
        .args(options)
        .arg("-r")
        .arg(file)
        .args(arguments))
}

/// Counts frames and SIP messages and follows the calls.
fn sip(file: &Path, options: &[&str]) -> Result<Reading> {
    let mut arguments = vec!["-T", "fields", "-E", "occurrence=a", "-E", "aggregator=|"];
    for field in ["sip.Method", "sip.Status-Code", "sip.Call-ID", "sip.CSeq.method"] {
        arguments.extend(["-e", field]);
    }
    let mut reading = Reading::default();
    for line in tshark(file, options, &arguments)?.lines() {
        reading.frames += 1;
        message(&mut reading, line).with_context(|| format!("tshark, frame {}: {line:?}", reading.frames))?;
    }
    Ok(reading)
}

/// Takes in the SIP messages of one frame: several where TCP has put them together.
fn message(reading: &mut Reading, line: &str) -> Result<()> {
    let mut fields = line
        .split(FIELD)
        .map(|field| field.split(VALUE).filter(|value| !value.is_empty()).collect::<Vec<_>>());
    let mut next = || fields.next().unwrap_or_default();
    let (methods, statuses, call_ids, about) = (next(), next(), next(), next());
    if !methods.is_empty() && !statuses.is_empty() {
        bail!("requests and responses in one frame: which value is whose cannot be told");
    }
    let count = methods.len() + statuses.len();
    if call_ids.len() != count || about.len() != count {
        bail!("{count} messages but {} Call-IDs", call_ids.len());
    }
    for method in &methods {
        *reading.requests.entry((*method).to_owned()).or_default() += 1;
    }
    for (index, (call_id, about)) in call_ids.iter().zip(&about).enumerate() {
        let status: Option<u16> = statuses.get(index).map(|status| status.parse()).transpose()?;
        if let Some(status) = status {
            *reading.responses.entry(status).or_default() += 1;
        }
        // A registration has a Call-ID too, and is no call.
        if !["INVITE", "ACK", "CANCEL", "BYE"].contains(about) {
            continue;
        }
        let call = reading.calls.entry((*call_id).to_owned()).or_default();
        call.messages += 1;
        call.bye |= *about == "BYE";
        if *about == "INVITE" && status.is_some_and(|status| status >= 200) {
            call.final_status = status;
        }
    }
    Ok(())
}

/// Reads the table `-z rtp,streams` prints: the name of the payload may be of several words, so the columns after it
/// are found from the percentage of loss.
fn streams(table: &str) -> Result<Vec<Stream>> {
    let mut streams = Vec::new();
    for line in table.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some(percentage) = words
            .iter()
            .position(|word| word.starts_with('(') && word.ends_with("%)"))
        else {
            // Rules and headings.
            continue;
        };
        let stream = stream(&words, percentage).with_context(|| format!("tshark, RTP stream {line:?}"))?;
        streams.push(stream);
    }
    streams.sort_by(|a, b| (&a.src, &a.dst, a.ssrc).cmp(&(&b.src, &b.dst, b.ssrc)));
    Ok(streams)
}

/// Times from request to final response in whole milliseconds as tshark has them (`sip.response-time`), by method: the first
/// final response of each request. tshark knows them over UDP only.
///
/// # Errors
/// When tshark fails, or prints what is not understood here.
pub fn response_times(file: &Path) -> Result<BTreeMap<String, Vec<u64>>> {
    let mut arguments = vec!["-Y", "sip.Status-Code >= 200 && sip.response-time", "-T", "fields"];
    for field in ["sip.CSeq.method", "sip.response-request", "sip.response-time"] {
        arguments.extend(["-e", field]);
    }
    let mut times: BTreeMap<(String, u64), u64> = BTreeMap::new();
    for line in tshark(file, &ONE_CLOCK, &arguments)?.lines() {
        let fields: Vec<&str> = line.split(FIELD).collect();
        let [method, request, time] = fields.as_slice() else {
            bail!("tshark, response time {line:?}");
        };
        let key = ((*method).to_owned(), request.parse()?);
        times.entry(key).or_insert(time.parse()?);
    }
    let mut by_method: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for ((method, _), time) in times {
        by_method.entry(method).or_default().push(time);
    }
    by_method.values_mut().for_each(|times| times.sort_unstable());
    Ok(by_method)
}

/// `address:port`, the address of IPv6 in brackets as URIs have it.
fn endpoint(address: &str, port: &str) -> String {
    if address.contains(':') {
        format!("[{address}]:{port}")
    } else {
        format!("{address}:{port}")
    }
}

fn stream(words: &[&str], percentage: usize) -> Result<Stream> {
    let word = |index: usize| words.get(index).copied().context("a column is missing");
    let before = |by: usize| word(percentage.checked_sub(by).context("a column is missing")?);
    let hexadecimal = word(6)?.trim_start_matches("0x");
    Ok(Stream {
        src: endpoint(word(2)?, word(3)?),
        dst: endpoint(word(4)?, word(5)?),
        ssrc: u32::from_str_radix(hexadecimal, 16)?,
        packets: before(2)?.parse()?,
        lost: before(1)?.parse()?,
        // Minimum, mean and maximum of the delta come first, then those of the jitter.
        jitter_mean_ms: word(percentage + 5)?.parse()?,
        jitter_max_ms: word(percentage + 6)?.parse()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_streams_is_read() {
        let table = "\
========================= RTP Streams ========================
   Start time      End time     Src IP addr  Port    Dest IP addr  Port       SSRC          Payload  Pkts         Lost
     0.337256      1.874840       192.0.2.1 20000       192.0.2.2 30000 0xCA110002   g711A, CN  78    -1 (-1.3%)  0.009  19.969  36.229  0.007  0.730  2.605 X
==============================================================";
        assert_eq!(
            streams(table).unwrap(),
            [Stream {
                src: "192.0.2.1:20000".to_owned(),
                dst: "192.0.2.2:30000".to_owned(),
                ssrc: 0xca11_0002,
                packets: 78,
                lost: -1,
                jitter_mean_ms: 0.730,
                jitter_max_ms: 2.605,
            }]
        );
        assert!(streams("1 2 (0.0%)").is_err());
    }

    #[test]
    fn a_message_has_its_time() {
        let message = timed("1795273676.000000042\t192.0.2.2\t192.0.2.3\t\t200\tINVITE\tid-1").unwrap();
        let expected = Message {
            time: 1_795_273_676_000_000_042,
            src: "192.0.2.2".to_owned(),
            dst: "192.0.2.3".to_owned(),
            method: None,
            status: Some(200),
            about: "INVITE".to_owned(),
            call_id: "id-1".to_owned(),
        };
        assert_eq!(message, expected);
        assert!(timed("1795273676.5\ta\tb\tBYE\t\tBYE\tid-1").is_err());
        assert!(timed("1795273676.000000042\ta\tb\t\t200,200\tBYE,BYE\tid-1,id-2").is_err());
    }

    #[test]
    fn an_error_is_made_of_class_and_number() {
        assert_eq!(stun_error("4\t86").unwrap(), 486);
        assert!(stun_error("4").is_err());
    }

    #[test]
    fn messages_make_calls() {
        let mut reading = Reading::default();
        for line in [
            "INVITE\t\tid-1\tINVITE",
            "\t180|486\tid-1|id-1\tINVITE|INVITE",
            "ACK\t\tid-1\tACK",
            "REGISTER\t\tid-2\tREGISTER",
            "\t\t\t",
        ] {
            message(&mut reading, line).unwrap();
        }
        assert_eq!(reading.messages(), 5);
        assert_eq!(reading.responses, BTreeMap::from([(180, 1), (486, 1)]));
        let call = Call {
            final_status: Some(486),
            bye: false,
            messages: 4,
        };
        assert_eq!(reading.calls, BTreeMap::from([("id-1".to_owned(), call)]));
        assert!(message(&mut reading, "BYE\t200\tid|id\tBYE|BYE").is_err());
    }
}
