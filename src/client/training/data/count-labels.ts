import { extname } from 'node:path'
import { readJsonLines } from './read-jsonl.ts'
import { parseRecord, type RawLabel } from './records.ts'

/**
 * How many labels a classifier of a file's records needs, as `loadDataset` numbers them: one for each text that occurs,
 * or for each whole number up to the largest; as many as a list has; one for values that are not whole. Undefined where
 * the first record has no label. Throws `DATASET_FILE` and `DATASET_RECORD`.
 */
export async function countLabels(file: string): Promise<number | undefined> {
  if (extname(file).toLowerCase() !== '.jsonl') return undefined
  const labels: RawLabel[] = []
  for await (const { where, value } of readJsonLines(file)) {
    const record = parseRecord(value, where)
    if (record.kind === 'labelled') labels.push(record.label)
    else if (labels.length === 0) return undefined
  }
  const [first] = labels
  if (first === undefined) return undefined
  if (Array.isArray(first)) return first.length
  if (typeof first === 'string') return new Set(labels).size
  const numbers = labels.map(Number)
  return numbers.every((each) => Number.isInteger(each) && each >= 0)
    ? numbers.reduce((most, each) => Math.max(most, each), 0) + 1
    : 1
}
