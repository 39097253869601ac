//! Memory: one pool for everything that a database keeps and computes.
//!
//! ```text
//! relations, operators      grow, whatever the limit says: they hold what was acknowledged
//! queries, COPY, backfills  ask first, and fail with 53200 when the pool is used up
//! sources                   wait while the pool is used up
//! ```
//! So what keeps growing is stopped at its entrances, and no query takes what the views need. Amounts are
//! counted by whoever holds them, as they change; nothing walks over state to measure it.

use std::fs;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use datafusion::execution::memory_pool::{
    GreedyMemoryPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation,
    TrackConsumersPool,
};

use crate::operator::OperatorMetrics;

/// Consumers that an error of a full pool names.
const NAMED: NonZeroUsize = NonZeroUsize::new(3).expect("3 is not 0");

/// A pool of `limit` bytes.
pub(crate) fn pool(limit: usize) -> Arc<dyn MemoryPool> {
    Arc::new(TrackConsumersPool::new(GreedyMemoryPool::new(limit), NAMED))
}

/// Whether the pool is used up.
pub(crate) fn is_full(pool: &dyn MemoryPool) -> bool {
    pool.reserved() >= limit(pool)
}

/// The bytes of the pool.
pub(crate) fn limit(pool: &dyn MemoryPool) -> usize {
    match pool.memory_limit() {
        MemoryLimit::Finite(limit) => limit,
        MemoryLimit::Infinite | MemoryLimit::Unknown => usize::MAX,
    }
}

/// Three quarters of the memory that this process may use: the machine's, or its control group's.
pub(crate) fn default_limit() -> usize {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| machine_bytes(&text));
    let group = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
        .into_iter()
        .filter_map(|path| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok());
    let bytes = machine.into_iter().chain(group).min();
    bytes.map_or(usize::MAX, |bytes| usize::try_from(bytes / 4 * 3).unwrap_or(usize::MAX))
}

/// The first line of `/proc/meminfo`, in bytes.
fn machine_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}

/// What an operator holds and has done, written by the tick loop and read by anybody.
#[derive(Debug)]
pub(crate) struct Meter {
    memory: MemoryReservation,
    counts: [AtomicU64; 6],
    /// Nanoseconds it worked.
    busy_ns: AtomicU64,
    /// Bits of how uneven its shards are.
    skew: AtomicU64,
}

impl Meter {
    /// The meter of the consumer `name`.
    pub(crate) fn new(name: String, pool: &Arc<dyn MemoryPool>) -> Self {
        Self {
            memory: MemoryConsumer::new(name).register(pool),
            counts: Default::default(),
            busy_ns: AtomicU64::new(0),
            skew: AtomicU64::new(1.0_f64.to_bits()),
        }
    }

    /// Notes that it worked for a while.
    pub(crate) fn worked(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.busy_ns.fetch_add(nanos, Ordering::Relaxed);
    }

    /// How long it worked.
    pub(crate) fn busy(&self) -> Duration {
        Duration::from_nanos(self.busy_ns.load(Ordering::Relaxed))
    }

    /// Notes how uneven its shards are.
    pub(crate) fn set_skew(&self, skew: f64) {
        self.skew.store(skew.to_bits(), Ordering::Relaxed);
    }

    /// How much more state its fullest shard has than its share.
    pub(crate) fn skew(&self) -> f64 {
        f64::from_bits(self.skew.load(Ordering::Relaxed))
    }

    /// Notes the present amounts.
    pub(crate) fn set(&self, metrics: OperatorMetrics) {
        self.memory.resize(metrics.in_memory());
        let OperatorMetrics { state_rows, state_bytes, spilled_bytes, .. } = metrics;
        let OperatorMetrics { state_rows_touched, rows_in, rows_out, .. } = metrics;
        let state = [state_rows, state_bytes, spilled_bytes];
        let values = state.into_iter().chain([state_rows_touched, rows_in, rows_out]);
        for (count, value) in self.counts.iter().zip(values) {
            count.store(value, Ordering::Relaxed);
        }
    }

    /// The amounts that were noted last.
    pub(crate) fn get(&self) -> OperatorMetrics {
        let count = |i: usize| self.counts[i].load(Ordering::Relaxed);
        OperatorMetrics {
            state_rows: count(0),
            state_bytes: count(1),
            spilled_bytes: count(2),
            state_rows_touched: count(3),
            rows_in: count(4),
            rows_out: count(5),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_takes_from_what_queries_may_use() {
        let pool = pool(1000);
        let meter = Meter::new("join".to_owned(), &pool);
        let metrics =
            OperatorMetrics { state_bytes: 900, rows_in: 3, ..OperatorMetrics::default() };
        meter.set(metrics);
        assert_eq!(meter.get(), metrics);
        let query = MemoryConsumer::new("query").register(&pool);
        assert!(query.try_grow(200).is_err(), "the view was first");
        assert!(!is_full(pool.as_ref()));
        meter.set(OperatorMetrics { state_bytes: 2000, ..metrics });
        assert!(is_full(pool.as_ref()), "a view grows over the limit");
        meter.set(OperatorMetrics { state_bytes: 10, ..metrics });
        query.try_grow(200).expect("there is room again");
        drop(query);
        drop(meter);
        assert_eq!(pool.reserved(), 0);
    }

    #[test]
    fn the_size_of_the_machine_is_read() {
        assert_eq!(machine_bytes("MemTotal:       24 kB\nMemFree: 1 kB\n"), Some(24 << 10));
        assert_eq!(machine_bytes("nothing"), None);
        assert!(default_limit() > 0);
    }
}
