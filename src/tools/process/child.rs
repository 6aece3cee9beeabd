//! A child process, as its worker sees it: how it is started, how it ends, and what it died of.

use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{self, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use parking_lot::Mutex;

use super::link::{Link, Message};
use super::message::{Answer, Order, VERSION};
use crate::device::Slot;
use crate::error::{Error, Result, Status};
use crate::tools::{beside, libtorch};

/// The executable, beside toolpool's library.
const PROGRAM: &str = "toolpool-worker";

/// How long a child may take to unload its tool, and one that has let go of the line to be gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// A child process and the line to it. It ends with this.
pub struct Child {
    process: Mutex<process::Child>,
    link: Link,
    /// Whether we killed it.
    killed: AtomicBool,
}

impl Child {
    /// Starts a child that waits for orders, and lives no longer than the thread that calls this. The names are for `ps`.
    pub fn start(tool: &str, slot: &Slot) -> Result<Self> {
        let program = beside::find(PROGRAM, "the executable of isolated workers")?;
        let refused = |what: &str, reason: &dyn std::fmt::Display| {
            let program = program.display();
            Error::new(Status::Backend, format_args!("{program} {what}: {reason}"))
        };
        let (link, theirs) = Link::pair().map_err(|reason| refused("gets no line", &reason))?;
        let mut command = Command::new(&program);
        // As its standard input the line is the one descriptor that the child is given: nothing to inherit by accident.
        command
            .args([tool, &slot.to_string()])
            .stdin(Stdio::from(theirs));
        if let Some(directory) = libtorch::loaded_directory() {
            command.env("TOOLPOOL_LIBTORCH", directory);
        }
        let process = command
            .spawn()
            .map_err(|reason| refused("cannot be started", &reason))?;
        // The command keeps the child's end of the line open, which must close with the child.
        drop(command);
        let child = Self {
            process: Mutex::new(process),
            link,
            killed: AtomicBool::new(false),
        };
        let hello = child
            .hear()
            .map_err(|reason| refused("says nothing", &reason))?;
        match hello.as_ref().and_then(|hello| Answer::take(&hello.bytes)) {
            Some(Answer::Hello { version: VERSION }) => Ok(child),
            Some(Answer::Hello { version }) => Err(refused(
                "is of another toolpool",
                &format_args!("{version}, not {VERSION}; install both from one build"),
            )),
            _ => Err(refused("does not start", &child.death())),
        }
    }

    /// The number of the process.
    pub fn id(&self) -> u32 {
        self.process.lock().id()
    }

    /// Gives an order.
    pub fn tell(&self, order: &Order, fd: Option<BorrowedFd>) -> io::Result<()> {
        self.link.send(order.put().bytes(), fd)
    }

    /// Waits for what the child says next: `None` if it is gone.
    pub fn hear(&self) -> io::Result<Option<Message>> {
        self.link.receive(|| self.gone())
    }

    /// Whether it has ended, or is about to.
    pub fn gone(&self) -> bool {
        self.killed.load(Ordering::Relaxed) || !matches!(self.process.lock().try_wait(), Ok(None))
    }

    /// Ends it at once, whatever it is doing; the worker that waits for it goes on.
    pub fn kill(&self) {
        self.killed.store(true, Ordering::Relaxed);
        // A process that has been waited for is left alone, so no other can be hit.
        let _ = self.process.lock().kill();
        // Also if it cannot die, inside a driver.
        self.link.cut();
    }

    /// Waits for a child that has ended, or is about to, and says how: "was killed by SIGSEGV (signal 11)".
    pub fn death(&self) -> String {
        match self.reap(Instant::now() + PATIENCE) {
            _ if self.killed.load(Ordering::Relaxed) => "was ended in the middle of it".to_owned(),
            Some(Ok(status)) => in_words(status),
            Some(Err(_)) => {
                "is gone; of what is not known, as this program collects the status of all its children itself"
                    .to_owned()
            }
            None => "let go of its worker and was killed".to_owned(),
        }
    }

    /// Lets it unload its tool and end; kills it if that takes too long.
    fn dismiss(&self) {
        let deadline = Instant::now() + PATIENCE;
        self.link.end();
        let late = || self.gone() || Instant::now() > deadline;
        while let Ok(Some(_)) = self.link.receive(late) {}
        self.reap(deadline);
    }

    /// Collects what is left of the process, which is killed at the deadline: its status if it ended before.
    fn reap(&self, deadline: Instant) -> Option<io::Result<ExitStatus>> {
        if let Some(ended) = self.wait_until(deadline) {
            return Some(ended);
        }
        let _ = self.process.lock().kill();
        if self.wait_until(Instant::now() + PATIENCE).is_none() {
            self.leave();
        }
        None
    }

    fn wait_until(&self, deadline: Instant) -> Option<io::Result<ExitStatus>> {
        let mut pause = Duration::from_micros(50);
        loop {
            let ended = self.process.lock().try_wait().transpose();
            if ended.is_some() || Instant::now() > deadline {
                return ended;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }

    /// A process that does not even die by SIGKILL is stuck in the kernel: somebody else waits for it.
    fn leave(&self) {
        let pid = nix::unistd::Pid::from_raw(self.id().cast_signed());
        let waiter = std::thread::Builder::new().name("toolpool-reaper".to_owned());
        let _ = waiter.spawn(move || nix::sys::wait::waitpid(pid, None));
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.gone() {
            self.reap(Instant::now() + PATIENCE);
        } else {
            self.dismiss();
        }
    }
}

fn in_words(status: ExitStatus) -> String {
    let Some(number) = status.signal() else {
        let code = status.code().unwrap_or_default();
        return format!("ended by itself, with exit status {code}");
    };
    let name = Signal::try_from(number).map_or("an unnamed signal", Signal::as_str);
    let hint = if number == Signal::SIGKILL as i32 {
        "; unless somebody did that by hand, the system had no memory left (the kernel's log tells)"
    } else {
        ""
    };
    format!("was killed by {name} (signal {number}){hint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deaths_have_names() {
        let words = |raw| in_words(ExitStatus::from_raw(raw));
        assert_eq!(words(11), "was killed by SIGSEGV (signal 11)");
        assert_eq!(words(6 | 0x80), "was killed by SIGABRT (signal 6)");
        assert!(words(9).contains("SIGKILL (signal 9)") && words(9).contains("memory"));
        assert_eq!(words(3 << 8), "ended by itself, with exit status 3");
        assert!(words(40).contains("signal 40"));
    }
}
