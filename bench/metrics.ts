/**
 * The value of a counter or gauge at a node's metrics port, summed over its labels; only samples that contain `label`.
 */
export async function readMetric(metricsPort: number, name: string, label = ''): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text()
  return text
    .split('\n')
    .filter((line) => (line.startsWith(`${name} `) || line.startsWith(`${name}{`)) && line.includes(label))
    .reduce((total, line) => total + Number(line.slice(line.lastIndexOf(' '))), 0)
}

/**
 * Tokens of decode steps and prefills that a server has computed; those of passes, its own probe among them, are none.
 */
export async function inferredTokens(port: number): Promise<number> {
  const [decoded = 0, prefilled = 0] = await Promise.all(
    ['decode', 'prefill'].map((kind) => readMetric(port, 'petals_tokens_computed_total', kind)),
  )
  return decoded + prefilled
}
