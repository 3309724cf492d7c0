import { median } from './statistics.ts';

/** One contestant's share of a comparison. */
export interface Sampler {
  readonly name: string;
  /** Rounds it takes part in; by default all. */
  readonly rounds?: number;
  /** Before the clock starts, in each round. */
  prepare?(): void;
  /** What it measured in one round. */
  sample(): Promise<number[]>;
}

export interface Measurement {
  readonly name: string;
  readonly median: number;
  readonly samples: readonly number[];
  /** Of one core, that the load took while this was measured. */
  readonly loadShare: number;
}

/**
 * Rounds in which everybody takes a turn, each round begun by another one: what the machine does
 * beside it, which changes from minute to minute, meets all of them alike.
 */
export async function interleave(
  samplers: readonly Sampler[],
  rounds: number,
): Promise<Measurement[]> {
  const samples = new Map<Sampler, number[]>(samplers.map((sampler) => [sampler, []]));
  const load = new Map<Sampler, { cpuMs: number; wallMs: number }>();
  for (let round = 0; round < rounds; round += 1) {
    const first = round % samplers.length;
    for (const sampler of [...samplers.slice(first), ...samplers.slice(0, first)]) {
      if (round >= (sampler.rounds ?? rounds)) continue;
      sampler.prepare?.();
      const cpu = process.cpuUsage();
      const startedMs = performance.now();
      samples.get(sampler)!.push(...(await sampler.sample()));
      const { user, system } = process.cpuUsage(cpu);
      const { cpuMs, wallMs } = load.get(sampler) ?? { cpuMs: 0, wallMs: 0 };
      load.set(sampler, {
        cpuMs: cpuMs + (user + system) / 1000,
        wallMs: wallMs + performance.now() - startedMs,
      });
    }
  }
  return samplers.map((sampler) => ({
    name: sampler.name,
    median: median(samples.get(sampler)!),
    samples: samples.get(sampler)!,
    loadShare: load.get(sampler)!.cpuMs / load.get(sampler)!.wallMs,
  }));
}
