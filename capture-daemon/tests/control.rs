//! The control socket against clients of every kind.

#![expect(
    clippy::unwrap_used,
    reason = "a test that unwraps fails with the line that was wrong"
)]

mod sample;

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use capture_daemon::config;
use capture_daemon::control::{Ask, Client, ClientError, Counts, Filter, Health, Server, SocketError};
use capture_daemon::report::CallState;
use sample::daemon::Daemon;
use sample::fake::Fake;
use serde_json::{Value, json};

/// Nothing in these tests takes as long; a read that does is a failure, not a hang.
const PATIENCE: Duration = Duration::from_secs(30);

fn connect(daemon: &Daemon) -> UnixStream {
    let stream = UnixStream::connect(&daemon.socket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn reply(reader: &mut impl BufRead) -> Value {
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line:?}"))
}

/// Sends `bytes`, closes the sending side and gives every line that comes back.
fn converse(daemon: &Daemon, bytes: &[u8]) -> Vec<Value> {
    let mut stream = connect(daemon);
    stream.write_all(bytes).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    BufReader::new(stream)
        .lines()
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect()
}

fn code(reply: &Value) -> &str {
    assert_eq!(reply["ok"], json!(false), "{reply}");
    reply["error"]["code"].as_str().unwrap()
}

/// Whether the daemon still answers another client.
fn answers(daemon: &Daemon) -> bool {
    let mut client = Client::connect(&daemon.socket).unwrap();
    let answer = client.ask(&Ask::Health).unwrap();
    client.understand::<Health>(answer).unwrap() == sample::health()
}

#[test]
fn every_ask_is_answered() {
    let daemon = Daemon::start(Fake::default(), |_| {});
    let mut client = Client::connect(&daemon.socket).unwrap();
    let health = client.ask(&Ask::Health).unwrap();
    assert_eq!(client.understand::<Health>(health).unwrap(), sample::health());
    let status = client.ask(&Ask::Status).unwrap();
    assert_eq!(
        client.understand::<capture_daemon::control::Status>(status).unwrap(),
        sample::status()
    );
    let version = client.ask(&Ask::Version).unwrap();
    assert_eq!(version, json!({"version": env!("CARGO_PKG_VERSION"), "protocol": 1}));
    let filter = Filter {
        limit: Some(1),
        ..Filter::default()
    };
    let calls = client.ask(&Ask::Calls(filter.clone())).unwrap();
    assert_eq!(
        calls,
        json!({"total": 3, "calls": [sample::call(3, CallState::Failed)]})
    );
    let ended = Filter {
        state: Some("ended".to_owned()),
        ..Filter::default()
    };
    let calls = client.ask(&Ask::Calls(ended)).unwrap();
    assert_eq!(calls, json!({"total": 1, "calls": [sample::call(1, CallState::Ended)]}));
    let of_call = Filter {
        call_id: Some("1-4711@192.0.2.10".to_owned()),
        ..Filter::default()
    };
    let streams = client.ask(&Ask::Streams(of_call)).unwrap();
    assert_eq!(streams["total"], json!(1));
    assert_eq!(streams["streams"][0]["ssrc"], json!("0x0000beef"));
    let call = client.ask(&Ask::Call("1-4711@192.0.2.10".to_owned())).unwrap();
    assert_eq!(
        call,
        json!({
            "call_id": "1-4711@192.0.2.10",
            "calls": [sample::call(1, CallState::Ended)],
            "streams": [sample::stream(0xbeef, Some("1-4711@192.0.2.10"))],
            "related": [],
        })
    );
    let nobody = client.ask(&Ask::Call("nobody".to_owned())).unwrap();
    assert_eq!(
        nobody,
        json!({"call_id": "nobody", "calls": [], "streams": [], "related": []})
    );
    let failed = Filter {
        state: Some("failed".to_owned()),
        ..Filter::default()
    };
    let registrations = client.ask(&Ask::Registrations(failed)).unwrap();
    assert_eq!(registrations["registrations"][0]["aor"], json!("sip:1002@example.org"));
    assert_eq!(registrations["total"], json!(1));
}

#[test]
fn replies_are_lines_with_version_and_id() {
    let daemon = Daemon::start(Fake::default(), |_| {});
    let replies = converse(&daemon, b"{\"v\":1,\"id\":\"a\",\"ask\":\"version\"}\n");
    let answer = json!({"version": env!("CARGO_PKG_VERSION"), "protocol": 1});
    assert_eq!(replies, [json!({"v": 1, "id": "a", "ok": true, "answer": answer})]);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let daemon = Daemon::start(Fake::default(), |_| {});
    let mut requests = String::new();
    for id in 0..500 {
        let ask = ["health", "calls", "nothing", "version"][id % 4];
        requests.push_str(&format!("{{\"v\":1,\"id\":{id},\"ask\":\"{ask}\"}}\n"));
    }
    let mut stream = connect(&daemon);
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let reading = std::thread::spawn(move || (0..500).map(|_| reply(&mut reader)).collect::<Vec<_>>());
    stream.write_all(requests.as_bytes()).unwrap();
    for (id, reply) in reading.join().unwrap().iter().enumerate() {
        assert_eq!(reply["id"], json!(id));
        assert_eq!(reply["ok"], json!(id % 4 != 2));
    }
}

#[test]
fn garbage_gets_an_error_and_the_conversation_goes_on() {
    let daemon = Daemon::start(Fake::default(), |_| {});
    let replies = converse(
        &daemon,
        b"GET / HTTP/1.1\r\n\n\xff\xfe\n[]\n{\"v\":9,\"id\":4,\"ask\":\"health\"}\n{\"v\":1,\"id\":5,\"ask\":\"version\"}\n",
    );
    let codes: Vec<&str> = replies.iter().take(5).map(code).collect();
    assert_eq!(
        codes,
        [
            "bad_request",
            "bad_request",
            "bad_request",
            "bad_request",
            "unsupported_version"
        ]
    );
    assert_eq!(replies[4]["id"], json!(4));
    assert_eq!((replies.len(), &replies[5]["ok"]), (6, &json!(true)));
    assert_eq!(daemon.counts.get().refused, 5);
    assert_eq!(daemon.counts.get().requests, 6);
}

#[test]
fn an_oversized_request_gets_an_error_and_a_close() {
    let daemon = Daemon::start(Fake::default(), |control| control.max_request = 1000);
    let fits = format!("{{\"v\":1,\"ask\":\"version\"}}{}\n", " ".repeat(1000 - 24));
    assert_eq!(fits.len(), 1000);
    assert_eq!(converse(&daemon, fits.as_bytes())[0]["ok"], json!(true));
    let over = converse(&daemon, format!(" {fits}").as_bytes());
    assert_eq!(over.iter().map(code).collect::<Vec<_>>(), ["too_large"]);
    // Without a newline in sight the daemon does not wait for one.
    let mut stream = connect(&daemon);
    stream.write_all(&vec![b'x'; 1000]).unwrap();
    let mut reader = BufReader::new(stream);
    assert_eq!(code(&reply(&mut reader)), "too_large");
    let mut rest = Vec::new();
    assert!(reader.read_to_end(&mut rest).is_ok_and(|n| n == 0));
    assert!(answers(&daemon));
}

#[test]
fn half_a_request_gets_an_error_when_its_time_is_over() {
    let daemon = Daemon::start(Fake::default(), |control| {
        control.request_timeout = Duration::from_millis(50);
    });
    let mut stream = connect(&daemon);
    stream.write_all(b"{\"v\":1,").unwrap();
    let mut reader = BufReader::new(stream);
    assert_eq!(code(&reply(&mut reader)), "timeout");
    assert_eq!(reader.read(&mut [0]).unwrap(), 0);
    // The end of the client's sending is an end too.
    let replies = converse(&daemon, b"{\"v\":1,\"ask\":\"health\"}");
    assert_eq!(replies.iter().map(code).collect::<Vec<_>>(), ["bad_request"]);
    assert!(answers(&daemon));
    assert_eq!(daemon.counts.get().timed_out, 1);
}

#[test]
fn bytes_that_trickle_do_not_extend_the_time() {
    let daemon = Daemon::start(Fake::default(), |control| {
        control.request_timeout = Duration::from_millis(100);
    });
    let stream = connect(&daemon);
    let mut trickle = stream.try_clone().unwrap();
    let trickling = std::thread::spawn(move || {
        while trickle.write_all(b" ").is_ok() {
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    assert_eq!(code(&reply(&mut BufReader::new(stream))), "timeout");
    trickling.join().unwrap();
}

#[test]
fn an_idle_client_is_closed_without_a_word() {
    let daemon = Daemon::start(Fake::default(), |control| {
        control.idle_timeout = Duration::from_millis(50);
    });
    let mut stream = connect(&daemon);
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    assert_eq!(daemon.counts.get().timed_out, 0);
}

#[test]
fn a_client_that_does_not_read_is_dropped_and_disturbs_nobody() {
    let fake = Fake {
        calls: (0..20_000)
            .map(|number| sample::call(number, CallState::Ended))
            .collect(),
        ..Fake::default()
    };
    let daemon = Daemon::start(fake, |control| control.write_timeout = Duration::from_millis(200));
    let mut stuck = connect(&daemon);
    stuck.write_all(b"{\"v\":1,\"ask\":\"calls\"}\n").unwrap();
    assert!(answers(&daemon), "while the other's answer waits");
    let begun = std::time::Instant::now();
    while daemon.counts.get().not_reading == 0 && begun.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(daemon.counts.get().not_reading, 1);
    let mut received = Vec::new();
    stuck.read_to_end(&mut received).unwrap();
    assert!(!received.ends_with(b"\n"), "the answer was cut short");
    assert!(answers(&daemon));
}

#[test]
fn a_long_list_arrives_whole() {
    let calls: Vec<_> = (0..5_000)
        .map(|number| sample::call(number, CallState::Ringing))
        .collect();
    let fake = Fake {
        calls: calls.clone(),
        ..Fake::default()
    };
    let daemon = Daemon::start(fake, |_| {});
    let mut client = Client::connect(&daemon.socket).unwrap();
    let answer = client.ask(&Ask::Calls(Filter::default())).unwrap();
    assert_eq!(answer, json!({"total": 5_000, "calls": calls}));
}

#[test]
fn too_many_clients_are_told_so() {
    let daemon = Daemon::start(Fake::default(), |control| control.max_clients = 2);
    let mut first: Vec<BufReader<UnixStream>> = (0..2).map(|_| BufReader::new(connect(&daemon))).collect();
    for client in &mut first {
        client.get_mut().write_all(b"{\"v\":1,\"ask\":\"version\"}\n").unwrap();
        assert_eq!(reply(client)["ok"], json!(true));
    }
    let refused = Client::connect(&daemon.socket).unwrap().ask(&Ask::Health).unwrap_err();
    assert!(
        matches!(&refused, ClientError::Refused { code, .. } if code == "busy"),
        "{refused}"
    );
    assert_eq!(daemon.counts.get().busy, 1);
    assert_eq!(daemon.counts.get().clients, 2);
    drop(first);
    let begun = std::time::Instant::now();
    while daemon.counts.get().clients > 0 && begun.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(answers(&daemon), "there is room again");
}

#[test]
fn many_clients_at_once_each_get_their_own_answers() {
    let daemon = Daemon::start(Fake::default(), |_| {});
    std::thread::scope(|scope| {
        for client in 0..32 {
            let daemon = &daemon;
            scope.spawn(move || {
                let mut reader = BufReader::new(connect(daemon));
                for request in 0..20 {
                    let id = client * 100 + request;
                    let line = format!("{{\"v\":1,\"id\":{id},\"ask\":\"streams\"}}\n");
                    reader.get_mut().write_all(line.as_bytes()).unwrap();
                    assert_eq!(reply(&mut reader)["id"], json!(id));
                }
            });
        }
    });
    assert_eq!(daemon.counts.get().requests, 32 * 20);
}

#[test]
fn stop_is_answered_and_takes_the_socket_away() {
    let mut daemon = Daemon::start(Fake::default(), |_| {});
    let mut idle = connect(&daemon);
    let mut client = Client::connect(&daemon.socket).unwrap();
    assert_eq!(client.ask(&Ask::Stop).unwrap(), json!({"stopping": true}));
    client.wait_gone(PATIENCE).unwrap();
    daemon.join();
    assert!(!daemon.socket.exists());
    assert_eq!(idle.read(&mut [0]).unwrap(), 0);
    assert_eq!(daemon.fake.stops.load(Ordering::SeqCst), 1);
    let error = Client::connect(&daemon.socket).unwrap_err().to_string();
    assert_eq!(
        error,
        format!(
            "no siphon answers on {}: No such file or directory (os error 2)\n\
             Is it running? `siphon run` starts it, `--socket PATH` names another socket.",
            daemon.socket.display()
        )
    );
}

/// Makes the socket of `control` and says why not.
fn bind(control: &config::Control) -> Result<(), SocketError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let _inside = runtime.enter();
    Server::bind(control, Arc::new(Counts::default())).map(drop)
}

#[test]
fn the_socket_has_the_mode_that_is_configured() {
    for mode in [0o600, 0o660, 0o666] {
        let daemon = Daemon::start(Fake::default(), |control| control.mode = mode);
        let found = std::fs::metadata(&daemon.socket).unwrap().permissions().mode();
        assert_eq!(found & 0o777, mode);
    }
}

#[test]
fn a_running_daemon_keeps_its_socket() {
    let daemon = Daemon::start(Fake::default(), |_| {});
    let control = config::Control {
        socket: daemon.socket.clone(),
        ..config::Control::default()
    };
    let error = bind(&control).unwrap_err();
    assert!(matches!(error, SocketError::InUse(_)), "{error}");
    assert!(answers(&daemon));
}

#[test]
fn the_socket_of_a_dead_daemon_is_taken_over_and_a_file_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let control = config::Control {
        socket: folder.path().join("s"),
        ..config::Control::default()
    };
    // Closed and not removed, as after a kill.
    drop(UnixListener::bind(&control.socket).unwrap());
    let dead = UnixStream::connect(&control.socket).unwrap_err();
    assert_eq!(dead.kind(), ErrorKind::ConnectionRefused);
    bind(&control).unwrap();
    assert!(!control.socket.exists(), "removed with the server");

    std::fs::write(&control.socket, "precious").unwrap();
    let error = bind(&control).unwrap_err();
    assert!(matches!(error, SocketError::NotASocket(_)), "{error}");
    assert_eq!(std::fs::read(&control.socket).unwrap(), b"precious");
}
