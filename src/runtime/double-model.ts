/** An ONNX model of one node: y = x + x, float32 [4]. What is tried with it are devices. */
export const DOUBLE_MODEL: Uint8Array = Buffer.from(
  'CAoSC3BldGFscy1ub2RlOkEKFQoBeAoBeBIBeRoDQWRkIgNBZGQ6ABIGZG91YmxlWg8KAXgS' +
    'CgoICAESBAoCCARiDwoBeRIKCggIARIECgIIBEIECgAQFUIRCg1jb20ubWljcm9zb2Z0EAE=',
  'base64',
)
