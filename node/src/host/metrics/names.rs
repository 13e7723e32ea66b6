//! Words for label values. Stable like the names of metrics: dashboards filter by them.

use crate::protocol::pool::Mode;
use crate::protocol::vote::{CertificateKind, VoteKind};
use crate::protocol::wire::Reject;

pub(super) const REJECTS: [Reject; 15] = [
    Reject::Malformed,
    Reject::Version,
    Reject::Signer,
    Reject::Old,
    Reject::Far,
    Reject::Epoch,
    Reject::Duplicate,
    Reject::NotNeeded,
    Reject::Signature,
    Reject::Certificate,
    Reject::Proof,
    Reject::Unsolicited,
    Reject::RateLimit,
    Reject::Full,
    Reject::Expired,
];

pub(super) fn reject_name(reason: Reject) -> &'static str {
    match reason {
        Reject::Malformed => "malformed",
        Reject::Version => "version",
        Reject::Signer => "signer",
        Reject::Old => "old",
        Reject::Far => "far",
        Reject::Epoch => "epoch",
        Reject::Duplicate => "duplicate",
        Reject::NotNeeded => "not_needed",
        Reject::Signature => "signature",
        Reject::Certificate => "certificate",
        Reject::Proof => "proof",
        Reject::Unsolicited => "unsolicited",
        Reject::RateLimit => "rate_limit",
        Reject::Full => "full",
        Reject::Expired => "expired",
    }
}

pub(super) fn vote_name(kind: VoteKind) -> &'static str {
    match kind {
        VoteKind::Notar(_) => "notar",
        VoteKind::Skip => "skip",
        VoteKind::NotarFallback(_) => "notar_fallback",
        VoteKind::SkipFallback => "skip_fallback",
        VoteKind::Final => "final",
    }
}

pub(super) fn certificate_name(kind: CertificateKind) -> &'static str {
    match kind {
        CertificateKind::FastFinal(_) => "fast_final",
        CertificateKind::Notar(_) => "notar",
        CertificateKind::NotarFallback(_) => "notar_fallback",
        CertificateKind::Skip => "skip",
        CertificateKind::Final => "final",
    }
}

/// The word for a mode, as metrics and the lines of `dev` have it.
pub fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Fast => "fast",
        Mode::Slow => "slow",
        Mode::Indirect => "indirect",
    }
}
