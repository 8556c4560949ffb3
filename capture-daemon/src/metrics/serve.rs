//! The web server of `/metrics`: one page, filled when it is asked for.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::Exporter;
use super::listener::Bounded;
use crate::config::Metrics;
use crate::control::Sensor;

/// How long a scrape may go on after the stop.
const GRACE: Duration = Duration::from_millis(300);

/// Why `/metrics` is not served.
#[derive(Debug, thiserror::Error)]
#[error("serving /metrics on {address}: {operation}: {source}")]
pub struct MetricsError {
    /// The configured address.
    pub address: SocketAddr,
    /// What was being done.
    pub operation: &'static str,
    /// What the system said.
    pub source: io::Error,
}

/// The web server, listening.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Listens on the configured address.
    ///
    /// # Errors
    /// The address is in use or not this host's.
    pub async fn bind(config: &Metrics) -> Result<Self, MetricsError> {
        let failed = |operation| {
            move |source| MetricsError {
                address: config.listen,
                operation,
                source,
            }
        };
        let listener = TcpListener::bind(config.listen).await.map_err(failed("listen"))?;
        let address = listener.local_addr().map_err(failed("reading the address"))?;
        Ok(Self { listener, address })
    }

    /// The address that was obtained; differs from the configured one where its port is 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is ready, and lets a scrape that is under way end for a moment longer.
    pub async fn serve(self, sensor: Arc<dyn Sensor>, stop: impl Future<Output = ()>) {
        let pages = Router::new()
            .route("/metrics", get(metrics))
            .route("/", get("siphon; the metrics are under /metrics\n"))
            .with_state(Arc::new(Source {
                exporter: Exporter::default(),
                sensor,
            }));
        let (stopping, mut stopped) = watch::channel(false);
        let asked = async move {
            // An error is the sender's end, which comes with the server's.
            let _ = stopped.wait_for(|stopped| *stopped).await;
        };
        let serving = axum::serve(Bounded::new(self.listener), pages).with_graceful_shutdown(asked);
        let over = async {
            stop.await;
            stopping.send_replace(true);
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            ended = serving.into_future() => {
                if let Err(error) = ended {
                    tracing::error!("serving /metrics on {}: {error}", self.address);
                }
            }
            () = over => {}
        }
    }
}

struct Source {
    exporter: Exporter,
    sensor: Arc<dyn Sensor>,
}

async fn metrics(State(source): State<Arc<Source>>) -> ([(axum::http::HeaderName, &'static str); 1], String) {
    let sensor = &source.sensor;
    let page = source
        .exporter
        .render(&sensor.health(), &sensor.status(), &sensor.signaling(), &sensor.turn());
    // The text format's content type: prometheus.io/docs/instrumenting/exposition_formats.
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], page)
}
