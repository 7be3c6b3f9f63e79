//! Answers calls, delivers what is decided, and keeps a sweep open.

use std::{
    fs, future::Future, net::SocketAddr, os::unix::fs::PermissionsExt, path::Path, time::Duration,
};

use anyhow::{Context, ensure};
use causeway_certs::{accept, admit::AdmitLayer};
use tokio::{
    net::{TcpListener, UnixListener},
    sync::watch,
    task::JoinSet,
    time::timeout,
};
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::Server;
use tonic_health::ServingStatus;

use super::{Coordinator, Parts};
use crate::serve;

/// How often to look whether certificates were replaced.
const CERTIFICATE_CHECK: Duration = Duration::from_secs(10);

impl Coordinator {
    /// Answers until `stop` resolves, then lets calls in progress finish for a while. Calls `ready`
    /// with the address once it answers.
    pub async fn serve(
        &self,
        stop: impl Future<Output = ()>,
        ready: impl FnOnce(SocketAddr) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let Parts { config, tls, federation, .. } = &*self.0;
        let (routes, health) = serve::routes(self, config.serve.reflection);
        let admit = AdmitLayer::for_coordinator(
            tls.clone(),
            config.identity(),
            config.nodes.iter().map(|node| node.id.clone()).collect(),
            config.serve.operators.clone(),
            config.serve.reflection,
        );
        // First, since it knows whether another coordinator is serving.
        let control = control_socket(&config.serve.control)?;
        let listener = TcpListener::bind(config.serve.listen).await;
        let listener = listener
            // Nobody answers there. It fails where somebody removed it already, which is as good.
            .inspect_err(|_| drop(fs::remove_file(&config.serve.control)))
            .with_context(|| format!("could not listen on {}", config.serve.listen))?;
        let address = listener.local_addr()?;
        let incoming = accept::serve_incoming(listener, tls.clone(), Some(federation.registry()));

        let mut tasks = JoinSet::new();
        let (watched, files) = (tls.clone(), config.identity_files.clone());
        tasks.spawn(async move {
            watched.watch(files, CERTIFICATE_CHECK, std::future::pending::<()>()).await;
        });
        tasks.spawn(self.courier().run());
        if let Some(schedule) = config.schedule {
            tasks.spawn(self.clone().keep_sweeping(schedule));
        }
        let (drain, draining) = watch::channel(false);
        let drained = move || {
            let mut draining = draining.clone();
            async move {
                let _ = draining.wait_for(|draining| *draining).await;
            }
        };
        let local = Server::builder().add_routes(routes.clone());
        let local = local.serve_with_incoming_shutdown(UnixListenerStream::new(control), drained());
        let mut local = tokio::spawn(async move {
            if let Err(error) = local.await {
                tracing::error!(%error, "commands on this machine are not answered any more");
            }
        });
        tracing::info!(coordinator.id = %config.id, listen = %address, "coordinator is up");
        ready(address)?;

        let server = accept::server().layer(admit).add_routes(routes);
        let mut server = tokio::spawn(server.serve_with_incoming_shutdown(incoming, drained()));
        tokio::select! {
            ended = &mut server => ended?.context("the server stopped by itself")?,
            () = stop => {
                health.set_service_status("", ServingStatus::NotServing).await;
                let _ = drain.send(true);
                let patience = Duration::from_secs(config.serve.drain_seconds);
                // A sweep that is open is closed first: its keys are erased at the nodes, and who follows it
                // hears why it ends.
                let closed = async {
                    self.go_down().await;
                    tokio::join!(&mut server, &mut local)
                };
                if timeout(patience, closed).await.is_err() {
                    tracing::warn!("calls in progress did not end in time");
                    server.abort();
                }
            }
        }
        local.abort();
        // Fails where somebody removed it already, which is as good.
        let _ = fs::remove_file(&config.serve.control);
        tracing::info!("coordinator is down");
        Ok(())
    }
}

/// Opens the socket for commands on this machine, for this user only.
fn control_socket(path: &Path) -> anyhow::Result<UnixListener> {
    let name = path.display();
    if path.exists() {
        // Somebody who answers there would be another coordinator with the same settings.
        ensure!(
            std::os::unix::net::UnixStream::connect(path).is_err(),
            "another coordinator answers on {name}: stop it first"
        );
        fs::remove_file(path).with_context(|| format!("could not remove {name}"))?;
    }
    let listener =
        UnixListener::bind(path).with_context(|| format!("could not listen on {name}"))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
        .with_context(|| format!("could not close {name} to others"))?;
    Ok(listener)
}
