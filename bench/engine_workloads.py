"""What bench/engine measures, in Python: engine-workloads.ts line by line. Reads requests as JSON lines, answers likewise."""
import json
import math
import os
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    def __init__(self, shape):
        super().__init__()
        width = shape["width"]
        self.shape = shape
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def forward(self, x):
        batch, tokens, heads, width = (self.shape[k] for k in ("batch", "tokens", "heads", "width"))
        split = self.qkv(self.norm1(x)).view(batch, tokens, 3, heads, width // heads)
        q, k, v = split.permute(2, 0, 3, 1, 4).unbind(0)
        attended = self.attention(q, k, v).transpose(1, 2).reshape(batch, tokens, width)
        y = x + self.out(attended)
        return y + self.down(F.gelu(self.up(self.norm2(y))))

    def attention(self, q, k, v):
        if hasattr(F, "scaled_dot_product_attention"):
            return F.scaled_dot_product_attention(q, k, v)
        scores = q.div(math.sqrt(q.size(-1))).matmul(k.transpose(-2, -1))
        return scores.softmax(-1).matmul(v)


class Transformer(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.embedding = nn.Embedding(shape["vocabulary"], shape["width"])
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape["layers"]))
        self.head = nn.Linear(shape["width"], shape["vocabulary"])

    def forward(self, tokens):
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x)
        return self.head(x)


def transformer_step(shape, bfloat16):
    torch.manual_seed(0)
    model = Transformer(shape)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, foreach=True)
    tokens = torch.randint(shape["vocabulary"], (shape["batch"], shape["tokens"]))
    targets = torch.randint(shape["vocabulary"], (shape["batch"] * shape["tokens"],))

    def step():
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16):
            loss = F.cross_entropy(model(tokens).view(-1, shape["vocabulary"]), targets)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    return step


def perceptron_step():
    torch.manual_seed(0)
    first = nn.Linear(16, 32)
    second = nn.Linear(32, 4)
    x = torch.randn(8, 16)
    y = torch.randn(8, 4)
    parameters = [*first.parameters(), *second.parameters()]

    def step():
        loss = F.mse_loss(second(first(x).relu()), y)
        loss.backward()
        for parameter in parameters:
            parameter.grad = None
        return loss.item()

    return step


def tiny_calls():
    a = torch.zeros(1)
    b = torch.ones(1)
    m = torch.zeros(2, 2)

    def add(count):
        for _ in range(count):
            a.add(b)

    def torch_add(count):
        for _ in range(count):
            torch.add(a, b)

    def add_(count):
        for _ in range(count):
            a.add_(b)

    def mul(count):
        for _ in range(count):
            a.mul(0.5)

    def alpha(count):
        for _ in range(count):
            a.add(b, alpha=2)

    def view(count):
        for _ in range(count):
            a.view((1, 1))

    def transpose(count):
        for _ in range(count):
            m.transpose(0, 1)

    def total(count):
        for _ in range(count):
            m.sum((1,), True)

    return {
        "a.add(b)": add,
        "torch.add(a, b)": torch_add,
        "a.add_(b)": add_,
        "a.mul(0.5)": mul,
        "a.add(b, {alpha})": alpha,
        "a.view([1, 1])": view,
        "m.transpose(0, 1)": transpose,
        "m.sum([1], true)": total,
    }


def matmul_rate(size, bfloat16):
    dtype = torch.bfloat16 if bfloat16 else torch.float32
    a = torch.randn(size, size).to(dtype)
    b = torch.randn(size, size).to(dtype)
    best = math.inf
    with torch.no_grad():
        for _ in range(12):
            start = time.perf_counter()
            a.matmul(b)
            best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best / 1e9


def peak_megabytes():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024


def main():
    steps = {}
    calls = tiny_calls()
    for line in sys.stdin:
        request = json.loads(line)
        kind = request["kind"]
        if kind == "hello":
            torch.set_num_threads(request["threads"])
            answer = {"version": torch.__version__, "threads": torch.get_num_threads()}
        elif kind == "calls":
            function = calls[request["name"]]
            start = time.process_time()
            function(request["count"])
            answer = {"seconds": time.process_time() - start}
        elif kind == "matmul":
            answer = {"rate": matmul_rate(request["size"], request["bfloat16"])}
        elif kind == "step":
            name = request["name"]
            if name not in steps:
                steps[name] = perceptron_step() if name == "perceptron" else transformer_step(request["shape"], request["bfloat16"])
            losses = []
            start, cpu = time.perf_counter(), time.process_time()
            for _ in range(request["count"]):
                losses.append(steps[name]())
            answer = {"seconds": time.perf_counter() - start, "cpu": time.process_time() - cpu, "losses": losses}
        elif kind == "forget":
            steps.clear()
            answer = {}
        elif kind == "peak":
            answer = {"megabytes": peak_megabytes()}
            with open("/proc/self/clear_refs", "w") as refs:
                refs.write("5")
        print(json.dumps(answer), flush=True)


main()
