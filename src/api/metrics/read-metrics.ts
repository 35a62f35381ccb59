import { Counter, Gauge, type Registry } from 'prom-client'

/** One value of a metric, with its labels. */
export interface Reading {
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** A gauge whose value is read at each scrape. */
export function registerGauge(registry: Registry, name: string, help: string, read: () => number): void {
  registerGauges(registry, name, help, [], () => [{ labels: {}, value: read() }])
}

/** A gauge with labels that is read at each scrape. Labels that are no longer read disappear. */
export function registerGauges(
  registry: Registry,
  name: string,
  help: string,
  labelNames: readonly string[],
  read: () => readonly Reading[],
): void {
  registry.registerMetric(
    new Gauge({
      name,
      help,
      labelNames,
      registers: [],
      collect() {
        this.reset()
        for (const { labels, value } of read()) this.set(labels, value)
      },
    }),
  )
}

/** A counter with labels that is counted elsewhere and read at each scrape. */
export function registerCounters(
  registry: Registry,
  name: string,
  help: string,
  labelNames: readonly string[],
  read: () => readonly Reading[],
): void {
  registry.registerMetric(
    new Counter({
      name,
      help,
      labelNames,
      registers: [],
      collect() {
        this.reset()
        for (const { labels, value } of read()) this.inc(labels, value)
      },
    }),
  )
}

/** A counter that is counted elsewhere and read at each scrape. */
export function registerCounter(registry: Registry, name: string, help: string, read: () => number): void {
  registerCounters(registry, name, help, [], () => [{ labels: {}, value: read() }])
}
