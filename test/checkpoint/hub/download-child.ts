import { fetchTensors } from '../../../src/checkpoint/hub/download/fetch-tensors.ts'
import { openModel } from '../../../src/checkpoint/open-model.ts'
import { spanTensorNames } from '../../../src/engine/loading/tensor-names.ts'

/** Fetches a span of a model of the hub, both given as arguments; a line per progress event, then `done`. */
const [, , model = '', start, end] = process.argv
const checkpoint = await openModel(model)
const names = spanTensorNames(checkpoint, Number(start), Number(end))
await fetchTensors(checkpoint, names, { onProgress: ({ downloadedBytes }) => console.log(downloadedBytes) })
console.log('done')
