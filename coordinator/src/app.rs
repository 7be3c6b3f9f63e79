//! Puts a coordinator together. The only module that knows every other.

use std::{
    fs,
    future::Future,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{
        Arc, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, ensure};
use causeway_certs::{
    accept,
    admit::AdmitLayer,
    files::read_secret,
    signing::{DocumentPublicKey, SigningError},
    tls::TlsState,
};
use causeway_proto::{
    alert::IssuedState,
    catalogue::AgencyKind,
    day::Day,
    ids::{AgencyId, AlertId, SweepId},
    review::Review,
};
use futures::future::join_all;
use serde::Serialize;
use time::OffsetDateTime;
use tokio::{
    net::{TcpListener, UnixListener},
    sync::{Mutex, Notify, OwnedMutexGuard, watch},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::Server;
use tonic_health::ServingStatus;

use crate::{
    clock,
    config::{CoordinatorConfig, LedgerConfig, ModelSignerConfig, ScheduleConfig},
    cycle::{
        Cycle, CycleError, Linked, Outcome,
        live::Followed,
        progress::{self, Progress},
        received::Received,
        report::{AlertReport, SweepReport},
        surface::capacity,
    },
    federation::Federation,
    ledger::{
        Ledger, LedgerError, Tx,
        alerts::{self, Decided},
        outbox::{self, Reached},
        reviews::{self, Received as ReceivedReview},
        standings::{self, State},
        sweeps::{self, PastSweep},
    },
    outbox::Courier,
    route::surfacing::Capacity,
    score::Model,
    serve,
    sign_off::{self, SignOffError, Signer},
};

/// How often to look whether certificates were replaced.
const CERTIFICATE_CHECK: Duration = Duration::from_secs(10);
/// How long a node may take to say whether it is there.
const HEALTH: Duration = Duration::from_secs(3);

/// A coordinator with its ledger open and its files read. Cheap to clone.
#[derive(Clone)]
pub struct Coordinator(Arc<Parts>);

struct Parts {
    config: CoordinatorConfig,
    model: Model,
    tls: TlsState,
    federation: Arc<Federation>,
    ledger: Ledger,
    bell: Arc<Notify>,
    reviewed: Arc<Notify>,
    sweeping: Arc<Mutex<()>>,
    following: Following,
}

/// Whether the sweep that is open has made its pass and only follows changes.
#[derive(Default)]
struct Following {
    now: AtomicBool,
    /// How often it was asked to make way.
    make_way: watch::Sender<u64>,
}

/// The right to sweep: one at a time.
pub struct Turn(#[expect(dead_code, reason = "held, not read")] OwnedMutexGuard<()>);

/// Something could not be done.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// Another sweep is running.
    #[error("a sweep is running already")]
    Running,
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The model that was to be tried is not fit, or not signed off.
    #[error(transparent)]
    Shadow(#[from] SignOffError),
    /// The keys of those who sign models off cannot be read.
    #[error(transparent)]
    Signers(#[from] SigningError),
    /// The sweep failed.
    #[error(transparent)]
    Cycle(#[from] CycleError),
    /// The ledger holds an explanation that cannot be read.
    #[error("the ledger holds an explanation that this version cannot read")]
    Explanation(#[from] serde_json::Error),
}

/// What a sweep came to.
pub struct Swept {
    /// Which.
    pub sweep: SweepId,
    /// For people and machines.
    pub report: SweepReport,
    /// For measuring only.
    pub linked: Linked,
    /// For measuring only, where the settings ask for it.
    pub received: Option<Received>,
}

/// What a sweep that is watched has to tell.
pub enum Heard<'a> {
    /// The result of its pass.
    Swept(&'a SweepReport),
    /// What a burst of changes came to.
    Followed(&'a Followed),
}

/// An alert and how far it has come.
pub struct Issued {
    /// What was decided.
    pub alert: Decided,
    /// Who has it.
    pub reached: Reached,
    /// What became of it.
    pub state: IssuedState,
}

/// What the coordinator is doing.
#[derive(Serialize)]
pub struct Status {
    /// The federation.
    pub deployment: AgencyId,
    /// The version of the scoring model.
    pub model: String,
    /// SHA-256 of the model's file, in hexadecimal.
    pub model_sha256: String,
    /// The enrolled nodes.
    pub nodes: Vec<NodeStatus>,
    /// Alerts that were issued.
    pub alerts: u64,
    /// Deliveries on their way.
    pub deliveries_waiting: u64,
    /// The places of the week that ends with the day of the last sweep.
    pub capacity: Capacity,
    /// What an operator should look at.
    pub alarms: Vec<String>,
    /// When the last sweep began, in Unix milliseconds.
    pub last_sweep_ms: Option<u64>,
    /// The last sweep.
    #[serde(skip)]
    pub last_sweep: Option<PastSweep>,
}

/// Whether a node is there.
#[derive(Serialize)]
pub struct NodeStatus {
    /// Which.
    pub id: AgencyId,
    /// What it is for.
    pub kind: AgencyKind,
    /// Why it cannot be reached; `None` when it can.
    pub problem: Option<String>,
}

impl Coordinator {
    /// Opens everything, so that what can fail at start-up fails now.
    pub async fn build(config: CoordinatorConfig) -> anyhow::Result<Self> {
        let model = load_model(&config)?;
        if let Some(path) = &config.shadow_model {
            signed_model(&config, path)?;
        }
        let ledger = open_ledger(&config.ledger).await?;
        // Identity before sockets.
        let tls = TlsState::load(&config.identity_files, OffsetDateTime::now_utc())?;
        ensure!(
            tls.identity() == config.identity(),
            "the certificate is for {} and this coordinator is {}",
            tls.identity(),
            config.identity()
        );
        let federation = Arc::new(Federation::new(&config, &tls));
        let bell = Arc::new(Notify::new());
        let (reviewed, sweeping, following) = Default::default();
        Ok(Self(Arc::new(Parts {
            config,
            model,
            tls,
            federation,
            ledger,
            bell,
            reviewed,
            sweeping,
            following,
        })))
    }

    /// Claims the right to sweep. A sweep that only follows changes is closed to make way.
    ///
    /// # Errors
    /// Fails while another sweep makes its pass.
    pub async fn turn(&self) -> Result<Turn, AppError> {
        let Parts { sweeping, following, .. } = &*self.0;
        match sweeping.clone().try_lock_owned() {
            Ok(turn) => Ok(Turn(turn)),
            Err(_) if !following.now.load(Ordering::SeqCst) => Err(AppError::Running),
            Err(_) => {
                following.make_way.send_modify(|asked| *asked += 1);
                Ok(Turn(sweeping.clone().lock_owned().await))
            }
        }
    }

    /// Reads the model that a sweep tries beside the one in use: the file that is named, or that of
    /// the settings, if any.
    ///
    /// # Errors
    /// Fails where the file is no model, or not signed off.
    pub fn shadow(&self, named: Option<&Path>) -> Result<Option<Model>, AppError> {
        let config = &self.0.config;
        let path = named.or(config.shadow_model.as_deref());
        path.map(|path| signed_model(config, path)).transpose()
    }

    /// Makes one pass as at a day, and sees that its alerts are on their way. A shadow model is tried
    /// beside the one in use, and tells nobody.
    pub async fn sweep(
        &self,
        turn: Turn,
        (as_at, shadow): (Day, Option<&Model>),
        tell: Arc<dyn Fn(progress::Event) + Send + Sync>,
    ) -> Result<Swept, AppError> {
        let received = self.0.config.sweep.measure_dump.then(Received::default);
        self.courier().catch_up().await?;
        let outcome = self.cycle(&*tell, received.as_ref(), false, shadow).run(as_at).await?;
        self.0.bell.notify_one();
        drop(turn);
        let Outcome { sweep, report, linked } = outcome;
        Ok(Swept { sweep, report, linked, received })
    }

    /// Makes one pass as at a day and follows what changes until `stop` resolves, or until another
    /// sweep is asked for. What is decided is delivered all the while.
    pub async fn watch(
        &self,
        turn: Turn,
        (as_at, shadow): (Day, Option<&Model>),
        tell: Arc<dyn Fn(progress::Event) + Send + Sync>,
        stop: impl Future<Output = ()>,
        mut heard: impl FnMut(Heard<'_>) + Send,
    ) -> Result<(), AppError> {
        let Parts { following, bell, .. } = &*self.0;
        self.courier().catch_up().await?;
        let heard = std::sync::Mutex::new(&mut heard);
        let hear = |news: Heard<'_>| {
            bell.notify_one();
            heard.lock().unwrap_or_else(PoisonError::into_inner)(news);
        };
        let swept = |report: &SweepReport| {
            following.now.store(true, Ordering::SeqCst);
            hear(Heard::Swept(report));
        };
        let mut make_way = following.make_way.subscribe();
        let until = async {
            tokio::select! {
                () = stop => {}
                _ = make_way.changed() => {}
            }
        };
        let cycle = self.cycle(&*tell, None, true, shadow);
        let outcome = cycle.watch(as_at, until, swept, |burst| hear(Heard::Followed(burst))).await;
        following.now.store(false, Ordering::SeqCst);
        drop(turn);
        Ok(outcome.map(|_| ())?)
    }

    fn cycle<'a>(
        &'a self,
        tell: &'a (dyn Fn(progress::Event) + Send + Sync),
        received: Option<&'a Received>,
        follows: bool,
        shadow: Option<&'a Model>,
    ) -> Cycle<'a> {
        let parts = &*self.0;
        Cycle {
            federation: &parts.federation,
            ledger: &parts.ledger,
            model: &parts.model,
            shadow,
            purposes: &parts.config.purposes,
            limits: &parts.config.sweep,
            now_ms: clock::now_ms,
            progress: Progress(tell),
            received,
            follows,
            reviewed: &parts.reviewed,
        }
    }

    /// Returns whoever delivers what is decided.
    pub fn courier(&self) -> Courier {
        let Parts { ledger, federation, bell, .. } = &*self.0;
        let (ledger, federation, bell) = (ledger.clone(), federation.clone(), bell.clone());
        Courier { ledger, federation, bell, now_ms: clock::now_ms }
    }

    /// Says what the coordinator is doing, asking every node whether it is there.
    pub async fn status(&self) -> Result<Status, AppError> {
        let Parts { config, model, federation, ledger, .. } = &*self.0;
        let ask = federation.members().iter().map(|member| async move {
            let problem = member.client(HEALTH).health().await.err();
            NodeStatus {
                id: member.id.clone(),
                kind: member.kind,
                problem: problem.map(|problem| problem.to_string()),
            }
        });
        let nodes = join_all(ask).await;
        let mut tx = ledger.read().await?;
        let last_sweep = sweeps::last(&mut tx).await?;
        let (deliveries_waiting, _) = outbox::waiting(&mut tx).await?;
        let as_at = last_sweep.as_ref().map_or_else(clock::today, |sweep| sweep.as_at);
        let capacity = capacity(&mut tx, model, as_at).await?;
        Ok(Status {
            deployment: config.deployment.clone(),
            model: model.version.clone(),
            model_sha256: model.sha256.clone(),
            nodes,
            alerts: alerts::count(&mut tx).await?,
            deliveries_waiting,
            capacity,
            alarms: alarms(&capacity),
            last_sweep_ms: last_sweep.as_ref().map(|sweep| sweep.opened_ms),
            last_sweep,
        })
    }

    /// Returns the latest revision of every alert, newest first.
    pub async fn alerts(&self, limit: u32) -> Result<Vec<Issued>, AppError> {
        issued(&self.0.ledger, limit).await
    }

    /// Returns why an alert was issued.
    pub async fn explain(&self, id: AlertId) -> Result<Option<(Issued, AlertReport)>, AppError> {
        explain(&self.0.ledger, id).await
    }

    /// Keeps a review by an agency that was told of its alert. Returns whether it is new; `None` where
    /// the agency was never told of such an alert.
    pub async fn review(&self, agency: AgencyId, review: Review) -> Result<Option<bool>, AppError> {
        let mut tx = self.0.ledger.begin().await?;
        let seen = alerts::revision(&mut tx, review.alert, review.revision).await?;
        let told = outbox::told(&mut tx, review.alert).await?;
        let Some(seen) = seen.filter(|_| told.contains(&agency)) else { return Ok(None) };
        let (alert, action) = (review.alert, review.action);
        let received = ReceivedReview { review, agency, score_tenths: seen.score_tenths };
        let new = reviews::put(&mut tx, &received, clock::now_ms()).await?;
        tx.commit().await?;
        tracing::info!(
            alert.id = %alert, agency.id = %received.agency, %action, new, "an alert was reviewed"
        );
        self.0.reviewed.notify_one();
        Ok(Some(new))
    }

    /// Rung when a review came in: an open sweep settles disputes and surfaces again.
    pub fn reviewed(&self) -> Arc<Notify> {
        self.0.reviewed.clone()
    }

    /// Returns the settings.
    pub fn config(&self) -> &CoordinatorConfig {
        &self.0.config
    }

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
        let listener = TcpListener::bind(config.serve.listen)
            .await
            .with_context(|| format!("could not listen on {}", config.serve.listen))?;
        let address = listener.local_addr()?;
        let incoming = accept::serve_incoming(listener, tls.clone(), Some(federation.registry()));
        let control = control_socket(&config.serve.control)?;

        let mut tasks = JoinSet::new();
        let (watched, files) = (tls.clone(), config.identity_files.clone());
        tasks.spawn(async move {
            watched.watch(files, CERTIFICATE_CHECK, std::future::pending::<()>()).await;
        });
        tasks.spawn(self.courier().run());
        if let Some(schedule) = config.schedule {
            tasks.spawn(self.clone().keep_sweeping(schedule));
        }
        let local = Server::builder().add_routes(routes.clone());
        tasks.spawn(async move {
            if let Err(error) = local.serve_with_incoming(UnixListenerStream::new(control)).await {
                tracing::error!(%error, "commands on this machine are not answered any more");
            }
        });
        tracing::info!(coordinator.id = %config.id, listen = %address, "coordinator is up");
        ready(address)?;

        let (drain, draining) = tokio::sync::oneshot::channel::<()>();
        let server = accept::server().layer(admit).add_routes(routes);
        let mut server = tokio::spawn(server.serve_with_incoming_shutdown(incoming, async {
            let _ = draining.await;
        }));
        tokio::select! {
            ended = &mut server => ended?.context("the server stopped by itself")?,
            () = stop => {
                health.set_service_status("", ServingStatus::NotServing).await;
                let _ = drain.send(());
                let patience = Duration::from_secs(config.serve.drain_seconds);
                if timeout(patience, &mut server).await.is_err() {
                    tracing::warn!("calls in progress did not end in time");
                    server.abort();
                }
            }
        }
        // Fails where somebody removed it already, which is as good.
        let _ = fs::remove_file(&config.serve.control);
        tracing::info!("coordinator is down");
        Ok(())
    }
}

impl Coordinator {
    /// Keeps a sweep open for ever: a new one every day at the same time, and after every one that
    /// was asked for.
    async fn keep_sweeping(self, schedule: ScheduleConfig) {
        let tell: Arc<dyn Fn(progress::Event) + Send + Sync> = Arc::new(|event| {
            if let Some(problem) = &event.problem {
                tracing::warn!(step = event.step.as_str(), %problem, "a sweep goes on without a node");
            }
        });
        loop {
            let turn = Turn(self.0.sweeping.clone().lock_owned().await);
            let stop = sleep(schedule.daily_at.from(clock::now_ms()));
            let heard = |heard: Heard<'_>| match heard {
                Heard::Swept(report) => tracing::info!(
                    sweep = report.sweep,
                    persons = report.persons,
                    alerts = report.alerts.len(),
                    "made a pass, and follows what changes"
                ),
                Heard::Followed(burst) => tracing::info!(
                    came = burst.came,
                    left = burst.left,
                    facts = burst.facts,
                    alerts = burst.alerts.len(),
                    total_ms = (burst.seconds.total * 1000.0) as u64,
                    "took in a change"
                ),
            };
            let made = match self.shadow(None) {
                Ok(shadow) => {
                    let how = (clock::today(), shadow.as_ref());
                    self.watch(turn, how, tell.clone(), stop, heard).await
                }
                Err(error) => Err(error),
            };
            if let Err(error) = made {
                tracing::error!(error = &error as &dyn std::error::Error, "a sweep failed");
                sleep(self.0.config.sweep.rejoin()).await;
            }
        }
    }
}

/// Reads the model that the settings name, or the built-in one.
pub fn load_model(config: &CoordinatorConfig) -> Result<Model, AppError> {
    match &config.model {
        Some(path) => signed_model(config, path),
        None => Ok(Model::builtin().clone()),
    }
}

/// Reads a model file that two of those whom the settings list signed off.
fn signed_model(config: &CoordinatorConfig, path: &Path) -> Result<Model, AppError> {
    let signer = |signer: &ModelSignerConfig| -> Result<Signer, SigningError> {
        let key = DocumentPublicKey::load(&signer.public_key)?;
        Ok(Signer { name: signer.name.clone(), key })
    };
    let signers: Vec<Signer> = config.model_signers.iter().map(signer).collect::<Result<_, _>>()?;
    Ok(sign_off::load_signed(path, &signers)?)
}

/// Opens the ledger that the settings name.
pub async fn open_ledger(config: &LedgerConfig) -> anyhow::Result<Ledger> {
    match (&config.path, &config.url_file) {
        (Some(path), _) => Ledger::open_file(path)
            .await
            .with_context(|| format!("could not open the ledger in {}", path.display())),
        (None, Some(file)) => {
            let url = read_secret(file)?;
            let url = std::str::from_utf8(&url).context("the ledger's address is not text")?;
            Ok(Ledger::connect(url.trim()).await?)
        }
        (None, None) => anyhow::bail!("the settings name no ledger"),
    }
}

/// Returns the latest revision of every alert, newest first, and how far each has come.
pub async fn issued(ledger: &Ledger, limit: u32) -> Result<Vec<Issued>, AppError> {
    let mut tx = ledger.read().await?;
    let mut issued = Vec::new();
    for alert in alerts::latest(&mut tx, limit).await? {
        let reached = outbox::reached(&mut tx, alert.id, alert.revision).await?;
        let state = state(&mut tx, alert.id).await?;
        issued.push(Issued { alert, reached, state });
    }
    Ok(issued)
}

/// Returns why an alert was issued.
pub async fn explain(
    ledger: &Ledger,
    id: AlertId,
) -> Result<Option<(Issued, AlertReport)>, AppError> {
    let mut tx = ledger.read().await?;
    let Some(alert) = alerts::find(&mut tx, id).await? else { return Ok(None) };
    let reached = outbox::reached(&mut tx, alert.id, alert.revision).await?;
    let state = state(&mut tx, id).await?;
    let report = serde_json::from_str(&alert.explanation)?;
    Ok(Some((Issued { alert, reached, state }, report)))
}

/// Returns what became of an alert.
async fn state(tx: &mut Tx, alert: AlertId) -> Result<IssuedState, LedgerError> {
    let standing = standings::find(tx, alert).await?;
    let acts = standing.as_ref().is_some_and(|standing| standing.action_seen.is_some());
    Ok(match standing.map(|standing| standing.state) {
        Some(State::Cancelled) => IssuedState::Cancelled,
        _ if acts => IssuedState::ActionSeen,
        Some(State::Closed) => IssuedState::Closed,
        _ if !reviews::of_alert(tx, alert).await?.is_empty() => IssuedState::Reviewed,
        _ => IssuedState::Open,
    })
}

/// Says in words what an operator should look at.
fn alarms(capacity: &Capacity) -> Vec<String> {
    let Capacity { places, highest, ceiling, braked, .. } = capacity;
    let mut alarms = Vec::new();
    if capacity.is_flooded() {
        alarms.push(format!(
            "{highest} households are in the highest tier this week and {ceiling} are plausible: look \
             for a fault in an agency's export"
        ));
    }
    if *braked {
        alarms.push(format!(
            "reviewers find too little to do, so a week has {places} places only: look at the model and \
             tell whoever answers for it"
        ));
    }
    alarms
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
