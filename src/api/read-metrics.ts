import { Counter, Gauge, type Registry } from 'prom-client'

/** One value of a metric with labels. */
export interface Reading {
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** A gauge whose value is read when it is scraped. */
export function registerGauge(registry: Registry, name: string, help: string, read: () => number): void {
  registry.registerMetric(
    new Gauge({
      name,
      help,
      registers: [],
      collect() {
        this.set(read())
      },
    }),
  )
}

/** A gauge with labels, read when it is scraped; what is not read any more is gone. */
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

/** A counter that is counted elsewhere and read when it is scraped. */
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

export function registerCounter(registry: Registry, name: string, help: string, read: () => number): void {
  registerCounters(registry, name, help, [], () => [{ labels: {}, value: read() }])
}
