import{M as m}from"./chunk-XCU5YRME.js";m();
