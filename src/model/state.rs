//! Where a job is in its life.

/// Where a job is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// Submitted, not started.
    Pending,
    /// Uploading, rendering or merging.
    Running,
    /// All done.
    Completed,
    /// Ended by an error.
    Failed,
    /// Ended by its owner.
    Cancelled,
    /// Stopped by its owner, to be resumed.
    Paused,
}

impl JobState {
    const ALL: [Self; 6] = [
        Self::Pending,
        Self::Running,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
        Self::Paused,
    ];

    /// The state's name in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Paused => "paused",
        }
    }

    /// The state with the given name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

/// What is being done for a running job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobPhase {
    /// Assets and definition are being stored for workers elsewhere.
    Uploading,
    /// Chunks are being rendered.
    Rendering,
    /// The chunks are being joined.
    Merging,
    /// The video is being looked at.
    Verifying,
}

impl JobPhase {
    const ALL: [Self; 4] = [Self::Uploading, Self::Rendering, Self::Merging, Self::Verifying];

    /// The phase's name in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Uploading => "uploading",
            Self::Rendering => "rendering",
            Self::Merging => "merging",
            Self::Verifying => "verifying",
        }
    }

    /// The phase with the given name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.as_str() == name)
    }
}
