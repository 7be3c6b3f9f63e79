//! Puts a coordinator together. The only module that knows every other.

mod day;
mod issued;
mod reviewing;
mod serving;
mod status;
mod sweeping;

use std::{
    path::Path,
    sync::{Arc, atomic::AtomicBool},
};

use anyhow::{Context, ensure};
use causeway_certs::{
    files::read_secret,
    signing::{DocumentPublicKey, SigningError},
    tls::TlsState,
};
use time::OffsetDateTime;
use tokio::sync::{Mutex, Notify, watch};

pub use self::{
    day::{DayError, sweep_day},
    issued::{Issued, explain, issued},
    reviewing::ReviewRefused,
    status::{NodeStatus, Status},
    sweeping::{Ended, Heard, How, Swept, Turn},
};
use crate::{
    clock,
    config::{CoordinatorConfig, LedgerConfig, ModelSignerConfig},
    cycle::CycleError,
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

/// Something could not be done.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// Another sweep is running.
    #[error("a sweep is running already")]
    Running,
    /// A sweep is running, and not here.
    #[error("another coordinator on the same ledger is sweeping, and this one only delivers")]
    Elsewhere,
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
