import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RootInputs } from '../../../../src/client/session/inputs/root-inputs.ts'
import { type Tensor, asFloat32 } from '../../../../src/tensor/tensor.ts'
import { hidden } from '../servers.ts'

test('ids are embedded again where they are needed; hidden states are kept', async () => {
  const asked: number[][] = []
  const embed = async (ids: readonly number[]) => {
    asked.push([...ids])
    return hidden(ids.map((id) => id * 10))
  }
  const root = new RootInputs()
  const write = (position: number, ids: number[]) => root.write(position, hidden(ids), { ids, embed })
  const values = async (from: number, until: number) => [...asFloat32((await root.range(from, until))!)]
  write(0, [1, 2, 3])
  write(3, [4])
  const states = hidden([77, 78])
  root.write(4, states)
  states.data.fill(0)
  write(6, [9])
  assert.deepEqual(await values(1, 7), [20, 30, 40, 77, 78, 90])
  assert.deepEqual(asked, [[2, 3, 4], [9]])
  assert.equal(await root.range(0, 8), undefined)

  const copy = new RootInputs()
  copy.copyFrom(root, 5)
  write(2, [5, 6])
  assert.deepEqual(await values(0, 4), [10, 20, 50, 60])
  assert.deepEqual([...asFloat32((await copy.range(2, 5))!)], [30, 40, 77])
})

async function tenfold(ids: readonly number[]): Promise<Tensor> {
  return hidden(ids.map((id) => id * 10))
}

test('rows before the ids of one input are kept as hidden states', async () => {
  const root = new RootInputs()
  root.write(0, hidden([-1, -2, 10, 20]), { ids: [1, 2], embed: tenfold })
  root.write(4, hidden([30]), { ids: [3], embed: tenfold })
  assert.deepEqual([...asFloat32((await root.range(1, 5))!)], [-2, 10, 20, 30])
  root.truncate(1)
  root.write(1, hidden([70]), { ids: [7], embed: tenfold })
  assert.deepEqual([...asFloat32((await root.range(0, 2))!)], [-1, 70])
})
