//! Processes of a town: nodes and coordinator, each on its own, as in real life.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use serde_json::Value;

use crate::interrupt;

/// How long a process may take to answer, or to end when it is told to.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often to look.
const LOOK: Duration = Duration::from_millis(10);

/// How to start this binary as one of the agents: the same code path as the agent's own binary.
#[derive(Clone, Debug)]
pub struct Launcher {
    program: PathBuf,
    log: Option<String>,
}

/// Which agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agent {
    /// `causeway-node`.
    Node,
    /// `causeway-coordinator`.
    Coordinator,
}

/// A process that goes on until it is told to stop. Killed when it is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    name: String,
    log: PathBuf,
    peak_kib: u64,
}

/// What a command that ran to its end said.
#[derive(Clone, Debug)]
pub struct Output {
    /// Whether it went well.
    pub status: ExitStatus,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
    /// The most memory it used, in KiB.
    pub peak_kib: u64,
}

/// A command that prints a JSON object a line. Killed when it is dropped.
#[derive(Debug)]
pub struct Watched {
    /// The process.
    pub running: Running,
    lines: mpsc::Receiver<String>,
}

impl Watched {
    /// Waits for the next line that it prints.
    pub fn next(&self, patience: Duration) -> anyhow::Result<Value> {
        let line = self.lines.recv_timeout(patience).with_context(|| {
            format!("`{}` printed nothing: {}", self.running.name, self.running.last_words())
        })?;
        Ok(serde_json::from_str(&line)?)
    }
}

impl Launcher {
    /// Starts agents out of the binary at `program`, which has to be `town`.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), log: None }
    }

    /// Has the agents log so much, such as `trace`, instead of what they log by themselves.
    pub fn logging(self, log: &str) -> Self {
        Self { log: Some(log.to_owned()), ..self }
    }

    /// Starts agents out of the running binary, which has to be `town`.
    pub fn this() -> anyhow::Result<Self> {
        Ok(Self::new(std::env::current_exe().context("could not find this program")?))
    }

    fn command(&self, agent: Agent, config: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(match agent {
            Agent::Node => "node",
            Agent::Coordinator => "coordinator",
        });
        command.arg("--config").arg(config);
        if let Some(log) = &self.log {
            command.args(["--log", log]);
        }
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, agent: Agent, config: &Path, args: &[&str]) -> anyhow::Result<Output> {
        let mut command = self.command(agent, config);
        command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = interrupt::spawn(&mut command).context("could not start an agent")?;
        let out = collect(child.stdout.take().context("no standard output")?);
        let err = collect(child.stderr.take().context("no standard error")?);
        let mut peak_kib = 0;
        let status = loop {
            peak_kib = peak_kib.max(peak_memory(child.id()));
            match child.try_wait()? {
                Some(status) => break status,
                None => thread::sleep(LOOK),
            }
        };
        interrupt::ended(&child);
        let read = |thread: thread::JoinHandle<io::Result<String>>| {
            thread
                .join()
                .map_err(|_| anyhow::anyhow!("could not read an agent's output"))?
                .map_err(anyhow::Error::from)
        };
        Ok(Output { status, out: read(out)?, err: read(err)?, peak_kib })
    }

    /// Runs a command with `--json` to its end, and reads what it printed.
    pub fn json(
        &self,
        agent: Agent,
        config: &Path,
        args: &[&str],
    ) -> anyhow::Result<(Value, Output)> {
        let mut all = vec!["--json"];
        all.extend(args);
        let output = self.run(agent, config, &all)?;
        if !output.status.success() {
            bail!("`{}` failed: {}", args.join(" "), output.err.trim());
        }
        let value = serde_json::from_str(&output.out)
            .with_context(|| format!("`{}` printed no JSON", args.join(" ")))?;
        Ok((value, output))
    }

    /// Starts a command that prints a JSON object a line until it is told to stop.
    pub fn watch(
        &self,
        agent: Agent,
        config: &Path,
        args: &[&str],
        folder: &Path,
    ) -> anyhow::Result<Watched> {
        let log = folder.join(format!("{}.txt", args.first().unwrap_or(&"watch")));
        let file = File::options().create(true).append(true).open(&log)?;
        let name = args.join(" ");
        let mut command = self.command(agent, config);
        command.arg("--json").args(args).stdout(Stdio::piped()).stderr(file);
        let mut child =
            interrupt::spawn(&mut command).with_context(|| format!("could not start `{name}`"))?;
        let out = child.stdout.take().context("no standard output")?;
        let (send, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Watched { running: Running { child, name, log, peak_kib: 0 }, lines })
    }

    /// Starts an agent that serves, and waits until it answers. Returns its address.
    pub fn serve(
        &self,
        agent: Agent,
        config: &Path,
        folder: &Path,
    ) -> anyhow::Result<(Running, Option<String>)> {
        let ready = folder.join("ready.json");
        if ready.exists() {
            fs::remove_file(&ready)?;
        }
        let log = folder.join("log.txt");
        let file = File::options().create(true).append(true).open(&log)?;
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut command = self.command(agent, config);
        command.arg("serve").arg("--ready-file").arg(&ready).stdout(Stdio::null()).stderr(file);
        let child =
            interrupt::spawn(&mut command).with_context(|| format!("could not start {name}"))?;
        let mut running = Running { child, name, log, peak_kib: 0 };
        let until = Instant::now() + PATIENCE;
        loop {
            // Written whole and then renamed, so it is there or it is not.
            if let Ok(text) = fs::read_to_string(&ready) {
                let value: Value = serde_json::from_str(&text)?;
                return Ok((running, value["listen"].as_str().map(str::to_owned)));
            }
            if let Some(status) = running.child.try_wait()? {
                bail!(
                    "{} ended ({status}) before it answered: {}",
                    running.name,
                    running.last_words()
                );
            }
            if Instant::now() > until {
                bail!("{} does not answer: {}", running.name, running.last_words());
            }
            thread::sleep(LOOK);
        }
    }
}

impl Running {
    /// Asks it to stop, and waits until it has.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        self.look();
        self.signal(Signal::TERM)?;
        self.wait()
    }

    /// Kills it without a word, as a power cut does.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.look();
        self.signal(Signal::KILL)?;
        self.wait()
    }

    /// Stops it in its tracks, as a machine that hangs does: nothing is closed and nothing answered.
    pub fn freeze(&self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on after [`freeze`](Self::freeze).
    pub fn thaw(&self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)
    }

    /// Lets it write no file beyond so many bytes, as a full disk does; `None` lifts that. Its program
    /// has to ignore SIGXFSZ, or that kills it.
    pub fn limit_files(&self, bytes: Option<u64>) -> anyhow::Result<()> {
        let limit = Rlimit { current: bytes, maximum: None };
        prlimit(Some(self.pid()?), Resource::Fsize, limit)
            .with_context(|| format!("could not limit the files of {}", self.name))?;
        Ok(())
    }

    /// Returns the most memory it used so far, in KiB.
    pub fn peak_kib(&mut self) -> u64 {
        self.look();
        self.peak_kib
    }

    /// Returns its log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn look(&mut self) {
        self.peak_kib = self.peak_kib.max(peak_memory(self.child.id()));
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        kill_process(self.pid()?, signal).with_context(|| format!("could not stop {}", self.name))
    }

    fn pid(&self) -> anyhow::Result<Pid> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        pid.context("a process without a number")
    }

    fn wait(&mut self) -> anyhow::Result<()> {
        let until = Instant::now() + PATIENCE;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > until {
                bail!("{} does not stop: {}", self.name, self.last_words());
            }
            thread::sleep(LOOK);
        }
        interrupt::ended(&self.child);
        Ok(())
    }

    fn last_words(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().rev().take(3).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" / ")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
        interrupt::ended(&self.child);
    }
}

fn collect(mut from: impl Read + Send + 'static) -> thread::JoinHandle<io::Result<String>> {
    thread::spawn(move || {
        let mut text = String::new();
        from.read_to_string(&mut text).map(|_| text)
    })
}

/// The most memory a process has used, in KiB; 0 when it is gone.
fn peak_memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}
