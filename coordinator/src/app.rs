//! Puts a coordinator together. The only module that knows every other.

mod day;
mod issued;
mod reviewing;
mod serving;
mod status;

use std::{
    future::Future,
    path::Path,
    sync::{
        Arc, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::{Context, ensure};
use causeway_certs::{
    files::read_secret,
    signing::{DocumentPublicKey, SigningError},
    tls::TlsState,
};
use causeway_proto::{day::Day, ids::SweepId};
use time::OffsetDateTime;
use tokio::sync::{Mutex, Notify, OwnedMutexGuard, watch};

pub use self::{
    day::{DayError, sweep_day},
    issued::{Issued, explain, issued},
    reviewing::ReviewRefused,
    status::{NodeStatus, Status},
};
use crate::{
    clock,
    config::{CoordinatorConfig, LedgerConfig, ModelSignerConfig},
    cycle::{
        Cycle, CycleError, Linked, Outcome, in_full,
        live::Followed,
        progress::{self, Progress},
        received::Received,
        report::SweepReport,
    },
    federation::Federation,
    ledger::{Ledger, LedgerError},
    outbox::Courier,
    score::Model,
    sign_off::{self, SignOffError, Signer},
};

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
    /// Whether it was told to stop.
    going: watch::Sender<bool>,
    /// Why the last sweep was given up, where it was. The ledger may not have taken that.
    failed: std::sync::Mutex<Option<String>>,
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
    /// A sweep cannot speak of that day.
    #[error(transparent)]
    Day(#[from] DayError),
    /// The model that was to be tried is not fit, or not signed off.
    #[error(transparent)]
    Shadow(#[from] SignOffError),
    /// The keys of those who sign models off cannot be read.
    #[error(transparent)]
    Signers(#[from] SigningError),
    /// A review is not kept.
    #[error(transparent)]
    Review(#[from] ReviewRefused),
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

/// Why a sweep that was followed came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Whoever followed it does so no more.
    Unwatched,
    /// Another sweep was asked for.
    MadeWay,
    /// The coordinator was told to stop.
    GoingDown,
}

/// What a sweep that is watched has to tell.
pub enum Heard<'a> {
    /// The result of its pass.
    Swept(&'a SweepReport),
    /// What a burst of changes came to.
    Followed(&'a Followed),
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
        let (reviewed, sweeping, following, going, failed) = Default::default();
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
            going,
            failed,
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
        let made = Box::pin(self.make_pass(turn, (as_at, shadow), tell)).await;
        self.remember(&made);
        made
    }

    async fn make_pass(
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
    /// sweep is asked for, or the coordinator is told to stop. What is decided is delivered all the while.
    pub async fn watch(
        &self,
        turn: Turn,
        (as_at, shadow): (Day, Option<&Model>),
        tell: Arc<dyn Fn(progress::Event) + Send + Sync>,
        stop: impl Future<Output = ()>,
        heard: impl FnMut(Heard<'_>) + Send,
    ) -> Result<Ended, AppError> {
        let made = Box::pin(self.follow(turn, (as_at, shadow), tell, stop, heard)).await;
        self.remember(&made);
        made
    }

    /// Keeps in mind whether the last sweep was given up, and why.
    fn remember<T>(&self, made: &Result<T, AppError>) {
        let failed = made.as_ref().err().map(|error| in_full(error));
        *self.0.failed.lock().unwrap_or_else(PoisonError::into_inner) = failed;
    }

    async fn follow(
        &self,
        turn: Turn,
        (as_at, shadow): (Day, Option<&Model>),
        tell: Arc<dyn Fn(progress::Event) + Send + Sync>,
        stop: impl Future<Output = ()>,
        mut heard: impl FnMut(Heard<'_>) + Send,
    ) -> Result<Ended, AppError> {
        let Parts { following, bell, going, .. } = &*self.0;
        self.courier().catch_up().await?;
        let heard = std::sync::Mutex::new(&mut heard);
        let hear = |news: Heard<'_>| {
            bell.notify_one();
            heard.lock().unwrap_or_else(PoisonError::into_inner)(news);
        };
        let swept = |report: &SweepReport| {
            following.now.store(true, Ordering::SeqCst);
            self.remember::<()>(&Ok(()));
            hear(Heard::Swept(report));
        };
        let mut make_way = following.make_way.subscribe();
        let mut going = going.subscribe();
        let mut ended = Ended::Unwatched;
        let until = async {
            ended = tokio::select! {
                () = stop => Ended::Unwatched,
                _ = make_way.changed() => Ended::MadeWay,
                _ = going.wait_for(|going| *going) => Ended::GoingDown,
            }
        };
        let cycle = self.cycle(&*tell, None, true, shadow);
        let outcome = cycle.watch(as_at, until, swept, |burst| hear(Heard::Followed(burst))).await;
        following.now.store(false, Ordering::SeqCst);
        drop(turn);
        outcome?;
        Ok(ended)
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
            going: parts.going.subscribe(),
        }
    }

    /// Has a sweep that is running be closed, and no other begin. Returns once nobody sweeps.
    pub async fn go_down(&self) {
        let Parts { going, sweeping, .. } = &*self.0;
        going.send_replace(true);
        drop(sweeping.lock().await);
    }

    /// Returns whoever delivers what is decided.
    pub fn courier(&self) -> Courier {
        let Parts { ledger, federation, bell, .. } = &*self.0;
        let (ledger, federation, bell) = (ledger.clone(), federation.clone(), bell.clone());
        Courier { ledger, federation, bell, now_ms: clock::now_ms }
    }

    /// Rung when a review came in: an open sweep settles disputes and surfaces again.
    pub fn reviewed(&self) -> Arc<Notify> {
        self.0.reviewed.clone()
    }

    /// Returns the settings.
    pub fn config(&self) -> &CoordinatorConfig {
        &self.0.config
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
