import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import { withinDeadline } from '../concurrency/within-deadline.js';
import type { Config } from '../config/config.js';
import { InjectConfig } from '../config/config.module.js';
import { version } from '../version.js';

/** A scrape that comes late counts as a process that is gone. */
const READ_DEADLINE_MS = 800;

interface MetricOptions<Label extends string> {
  readonly name: string;
  readonly help: string;
  /** Their values come from a fixed set: each one is a time series that Prometheus keeps. */
  readonly labelNames?: readonly Label[];
}

interface CounterOptions<Label extends string> extends MetricOptions<Label> {
  readonly labelValues?: undefined;
  /**
   * Each begins at 0, as `labelValues` do: for a counter with several labels, those sets of values that an
   * alert counts.
   */
  readonly labelSets?: ReadonlyArray<Readonly<Record<Label, string>>>;
}

/** With one label, whose values are all known. */
interface EnumeratedCounterOptions<Label extends string> extends MetricOptions<Label> {
  readonly labelNames: readonly [Label];
  readonly labelSets?: undefined;
  /**
   * Each begins at 0. Where a series begins with its first event, rate() and increase() of Prometheus
   * do not see that one: they have nothing to compare it with. So whatever an alert counts belongs here.
   */
  readonly labelValues: readonly string[];
}

interface HistogramOptions<Label extends string> extends MetricOptions<Label> {
  /** Upper bounds. */
  readonly buckets: readonly number[];
}

interface GaugeOptions<Label extends string> extends MetricOptions<Label> {
  /** At each scrape: all values that there are, each with its labels. */
  readonly read: () => ReadonlyArray<GaugeValue<Label>>;
}

interface GaugeValue<Label extends string> {
  readonly labels: Readonly<Record<Label, string>>;
  readonly value: number;
}

interface GaugesOptions<Name extends string> {
  /** What each says, by name. */
  readonly gauges: Readonly<Record<Name, string>>;
  /** All of them at each scrape. Where it fails or is late they are absent, and the rest is given all the same. */
  readonly read: () => Promise<Readonly<Record<Name, number>>>;
}

/** What this process counts, for Prometheus. A registry of its own: tests run several in one process. */
@Injectable()
export class Metrics implements OnApplicationShutdown {
  private readonly registry = new Registry();

  constructor(@InjectConfig() config: Config) {
    // Observing the event loop is for naught where nobody may ask.
    if (config.metricsToken !== null) collectDefaultMetrics({ register: this.registry });
    this.gauge({
      name: 'rind_build_info',
      help: 'Always 1: version and commit of this process are its labels',
      labelNames: ['version', 'commit'],
      read: () => [{ labels: { version, commit: config.commit ?? 'unknown' }, value: 1 }],
    });
  }

  /** Of `write()`. */
  get contentType(): string {
    return this.registry.contentType;
  }

  /** In Prometheus' text format. */
  write(): Promise<string> {
    return this.registry.metrics();
  }

  counter<Label extends string = never>(
    options: CounterOptions<Label> | EnumeratedCounterOptions<Label>,
  ): Counter<Label> {
    const { name, help, labelNames = [], labelValues = [], labelSets = [] } = options;
    const counter = new Counter({ name, help, labelNames, registers: [this.registry] });
    for (const value of labelValues) counter.labels(value).inc(0);
    for (const labels of labelSets) counter.inc(labels, 0);
    return counter;
  }

  histogram<Label extends string = never>({ buckets, ...options }: HistogramOptions<Label>) {
    return new Histogram({ ...options, buckets: [...buckets], registers: [this.registry] });
  }

  gauge<Label extends string = never>({ read, ...options }: GaugeOptions<Label>): void {
    new Gauge({
      ...options,
      registers: [this.registry],
      collect() {
        this.reset();
        for (const { labels, value } of read()) this.set(labels, value);
      },
    });
  }

  gauges<Name extends string>({ gauges, read }: GaugesOptions<Name>): void {
    let reading: Promise<Readonly<Record<Name, number>> | null> | undefined;
    // Prometheus asks each for itself; they answer from one look.
    const look = () => {
      reading ??= read()
        .catch(() => null)
        .finally(() => {
          reading = undefined;
        });
      return reading;
    };
    for (const [name, help] of Object.entries(gauges) as Array<[Name, string]>) {
      new Gauge({
        name,
        help,
        registers: [this.registry],
        async collect() {
          const values = await withinDeadline(look(), READ_DEADLINE_MS);
          if (values) this.set(values[name]);
          else this.remove();
        },
      });
    }
  }

  onApplicationShutdown(): void {
    this.registry.clear();
  }
}
